// Autoencoders of protein backbones whose every answer has bonds of a length that bonds have.
//
// A network of coordinates by squared error draws means of what it is in doubt about, and a mean of bonds of different
// directions is too short. Here the coordinates that it gives tell directions only: bonds along the chain, N-CA, CA-C
// and C-N, get their ideal lengths, changed by at most two standard deviations by numbers that the network gives
// besides, and are joined to a chain, which lies where it is nearest to the coordinates (the least sum of squares over
// N, CA and C). O is set at C likewise. Directions are those of space, not torsions: an error in one turns nothing
// behind it.
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "geometry/covalent.hpp"
#include "model/makers.hpp"
#include "model/network.hpp"
#include "model/network_around.hpp"

namespace ae::model {
namespace {

using torch::indexing::None;
using torch::indexing::Slice;

constexpr auto kAtoms = static_cast<std::int64_t>(geometry::kBackboneAtoms);
using geometry::kResidueNumbers;
constexpr std::int64_t kBonds = 4;    // of a residue: N-CA, CA-C, C-O, C-N, in the order of geometry::bond_types()
constexpr double kMostDeviation = 2;  // standard deviations of a bond's length
constexpr double kShortestDirection = 1e-3;  // Angstrom

class ChainOutput {
 public:
  explicit ChainOutput(const Interface& interface) {
    std::vector<double> centers, spreads;
    for (const auto& element : interface.domain.elements) {
      centers.push_back(element.center);
      spreads.push_back(element.spread > 0 ? element.spread : 1);
    }
    center_ = torch::tensor(centers, torch::kFloat64);
    spread_ = torch::tensor(spreads, torch::kFloat64);
  }
  std::int64_t residues() const { return center_.size(0) / kResidueNumbers; }
  std::int64_t further_outputs() const { return kBonds * residues(); }

  // [samples, coordinates and further outputs] in network units -> [samples, coordinates], likewise
  at::Tensor operator()(const at::Tensor& raw) const {
    const auto center = center_.to(raw.scalar_type()), spread = spread_.to(raw.scalar_type());
    const auto samples = raw.size(0);
    const auto places = (raw.narrow(1, 0, center.size(0)) * spread + center).view({samples, residues(), kAtoms, 3});
    const auto lengths = raw.narrow(1, center.size(0), further_outputs()).view({samples, residues(), kBonds});
    const auto n = places.select(2, 0), ca = places.select(2, 1), c = places.select(2, 2), o = places.select(2, 3);
    const auto n_ca = bond(ca - n, lengths, 0), ca_c = bond(c - ca, lengths, 1), c_o = bond(o - c, lengths, 2);
    const auto count = residues();
    auto steps = torch::stack({n_ca, ca_c}, 2);  // [samples, residues, 2 or 3, 3]
    if (count > 1) {
      const auto c_n = bond(n.narrow(1, 1, count - 1) - c.narrow(1, 0, count - 1), lengths.narrow(1, 0, count - 1), 3);
      steps = torch::cat({steps, torch::constant_pad_nd(c_n, {0, 0, 0, 1}).unsqueeze(2)}, 2);
    } else {
      steps = torch::constant_pad_nd(steps, {0, 0, 0, 1});
    }
    // Atoms of the chain, beginning with 0: N, CA, C, N, ...
    const auto behind = torch::cumsum(steps.view({samples, 3 * count, 3}), 1);
    const auto from_first = torch::constant_pad_nd(behind.narrow(1, 0, 3 * count - 1), {0, 0, 1, 0});
    const auto wanted = places.narrow(2, 0, 3).reshape({samples, 3 * count, 3});
    const auto chain = from_first + (wanted - from_first).mean(1, true);
    const auto trace = chain.view({samples, count, 3, 3});
    const auto oxygens = trace.select(2, 2) + c_o;
    const auto atoms = torch::cat({trace, oxygens.unsqueeze(2)}, 2).view({samples, center.size(0)});
    return (atoms - center) / spread;
  }

 private:
  // Along `direction` [samples, count, 3].
  static at::Tensor bond(const at::Tensor& direction, const at::Tensor& lengths, std::int64_t type) {
    const auto& [mean, sigma] = geometry::bond_types()[static_cast<std::size_t>(type)].general;
    const auto size = (direction * direction).sum(-1, true) + kShortestDirection * kShortestDirection;
    const auto length = mean + kMostDeviation * sigma * torch::tanh(lengths.select(2, type).unsqueeze(2));
    return direction * size.rsqrt() * length;
  }

  at::Tensor center_, spread_;  // [coordinates] float64
};

class BackboneNetwork final : public NetworkAround {
 public:
  BackboneNetwork(std::shared_ptr<Network> rows, ChainOutput chain)
      : NetworkAround(std::move(rows)), chain_(std::move(chain)) {}

  Code encode(const Batch& batch) override { return rows().encode(batch); }
  at::Tensor decode(const at::Tensor& latent) override { return chain_(rows().decode(latent)); }
  Output forward(const Batch& batch) override {
    auto output = rows().forward(batch);
    output.prediction = chain_(output.prediction);
    return output;
  }
  std::shared_ptr<Network> member(std::int64_t m) override {
    auto one = rows().member(m);
    return one == nullptr ? nullptr : std::make_shared<BackboneNetwork>(std::move(one), chain_);
  }
  void begin_outputs(const at::Tensor& outputs) override {
    rows().begin_outputs(torch::constant_pad_nd(outputs, {0, chain_.further_outputs()}, std::nan("")));
  }

 private:
  ChainOutput chain_;
};

// Around a family of table rows.
class BackboneFamily final : public Family {
 public:
  explicit BackboneFamily(std::unique_ptr<Family> rows) : rows_(std::move(rows)) {}

  void fields(config::Fields& f) override { rows_->fields(f); }
  void check(std::vector<config::Problem>& problems) const override { rows_->check(problems); }
  std::unique_ptr<Network> build(const Interface& interface) const override {
    require_coordinates(interface);
    ChainOutput chain(interface);
    return std::make_unique<BackboneNetwork>(rows_->build(of_rows(interface)), std::move(chain));
  }
  bool variational() const override { return rows_->variational(); }
  bool reads(const Domain& domain) const override {
    const auto& elements = domain.elements;
    return !domain.gridded() && !elements.empty() && std::ssize(elements) % kResidueNumbers == 0 &&
           std::ranges::all_of(elements, [](const auto& element) { return !element.categorical() && element.affine; });
  }
  double weights(const Interface& interface) const override { return rows_->weights(of_rows(interface)); }

 private:
  static Interface of_rows(const Interface& interface) {
    auto rows = interface;
    rows.outputs += std::ssize(interface.domain.elements) / kResidueNumbers * kBonds;
    return rows;
  }
  void require_coordinates(const Interface& interface) const {
    const auto count = std::ssize(interface.domain.elements);
    if (!reads(interface.domain) || interface.outputs != count)
      throw UsageError(
          "/model/type: a network of backbones answers with a coordinate of N, CA, C and O for each column, found " +
          counted(count, "columns") + " with " + counted(interface.outputs, "outputs") +
          "; expected 12 numeric columns for each residue, and terms of one output, such as mse");
  }

  std::unique_ptr<Family> rows_;
};

}  // namespace

std::unique_ptr<Family> make_backbone() { return std::make_unique<BackboneFamily>(make_dense()); }
std::unique_ptr<Family> make_backbone_variational() { return std::make_unique<BackboneFamily>(make_variational()); }

}  // namespace ae::model
