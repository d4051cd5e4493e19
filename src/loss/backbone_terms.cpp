#include "loss/backbone_terms.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "geometry/clashes.hpp"
#include "geometry/covalent.hpp"

namespace ae::loss {
namespace {

using geometry::AtomPlace;
using geometry::CovalentType;
using geometry::kC;
using geometry::kCa;
using geometry::kN;

constexpr auto kAtoms = static_cast<std::int64_t>(geometry::kBackboneAtoms);
constexpr double kMostSquared = 3;  // standard deviations; beyond, z-scores count linearly

struct Chains {
  at::Tensor atoms;     // [samples, residues, 4, 3] in Angstrom
  at::Tensor observed;  // [samples, residues, 4]: 1 or 0
  std::int64_t residues() const { return atoms.size(1); }
};

// [samples, count]: numbers of a chain, and which of them count.
struct Measured {
  at::Tensor values;
  at::Tensor counts;
};

at::Tensor scalar_product(const at::Tensor& a, const at::Tensor& b) { return (a * b).sum(-1); }
// The square root has no derivative at 0, where two atoms lie at one place.
at::Tensor length(const at::Tensor& a) { return (scalar_product(a, a) + 1e-12).sqrt(); }
at::Tensor vector_product(const at::Tensor& a, const at::Tensor& b) { return torch::cross(a, b, -1); }

at::Tensor mean_of(const Measured& measured) {
  return (measured.values * measured.counts).sum(1) / measured.counts.sum(1).clamp_min(1);
}

// Of places that span two residues one fewer than there are.
class Places {
 public:
  Places(const Chains& chains, bool spanning) : chains_(chains), count_(chains.residues() - (spanning ? 1 : 0)) {}

  at::Tensor points(const AtomPlace& place) const { return at(chains_.atoms, place); }
  at::Tensor observed(const AtomPlace& place) const { return at(chains_.observed, place); }
  at::Tensor all_observed(const std::vector<AtomPlace>& places) const {
    auto all = observed(places.front());
    for (std::size_t i = 1; i < places.size(); ++i) all = all * observed(places[i]);
    return all;
  }

 private:
  at::Tensor at(const at::Tensor& of_atoms, const AtomPlace& place) const {
    return of_atoms.select(2, static_cast<std::int64_t>(place.atom)).narrow(1, place.next ? 1 : 0, count_);
  }

  const Chains& chains_;
  std::int64_t count_;
};

bool spanning(const std::vector<AtomPlace>& places) {
  return std::any_of(places.begin(), places.end(), [](const auto& place) { return place.next; });
}

// Angstrom, or degrees.
at::Tensor measure(const Places& at, const std::vector<AtomPlace>& places) {
  if (places.size() == 2) return length(at.points(places[1]) - at.points(places[0]));
  const auto u = at.points(places[0]) - at.points(places[1]), v = at.points(places[2]) - at.points(places[1]);
  return torch::atan2(length(vector_product(u, v)), scalar_product(u, v)) * geometry::kDegrees;
}

at::Tensor squared_deviation(const at::Tensor& z) {
  const auto size = z.abs();
  return torch::where(size <= kMostSquared, z * z, kMostSquared * (2 * size - kMostSquared));
}

at::Tensor covalent_loss(const Chains& chains, const std::vector<CovalentType>& types) {
  std::vector<at::Tensor> values, counts;
  for (const auto& type : types) {
    const Places at(chains, spanning(type.atoms));
    const auto& [mean, sigma] = type.general;
    values.push_back(squared_deviation((measure(at, type.atoms) - mean) / sigma));
    counts.push_back(at.all_observed(type.atoms));
  }
  return mean_of({torch::cat(values, 1), torch::cat(counts, 1)});
}

// Cosine and sine of the torsions about the axis between the second and the third of four places.
struct Torsion {
  at::Tensor cosine, sine;  // [samples, count]
};
Torsion torsion(const Places& at, const std::vector<AtomPlace>& places) {
  const auto first = at.points(places[1]) - at.points(places[0]), axis = at.points(places[2]) - at.points(places[1]),
             last = at.points(places[3]) - at.points(places[2]);
  const auto before = vector_product(first, axis), behind = vector_product(axis, last);
  const auto x = scalar_product(before, behind), y = scalar_product(first, behind) * length(axis);
  const auto radius = (x * x + y * y + 1e-12).sqrt();
  return {x / radius, y / radius};
}

const std::vector<AtomPlace> kPhi{{kC}, {kN, true}, {kCa, true}, {kC, true}};
const std::vector<AtomPlace> kPsi{{kN}, {kCa}, {kC}, {kN, true}};
const std::vector<AtomPlace> kOmega{{kCa}, {kC}, {kN, true}, {kCa, true}};

at::Tensor bond_loss(const Chains& chains) { return covalent_loss(chains, geometry::bond_types()); }
at::Tensor angle_loss(const Chains& chains) { return covalent_loss(chains, geometry::angle_types()); }

at::Tensor planarity_loss(const Chains& chains) {
  const double sigma = std::sin(5.8 / geometry::kDegrees);
  const Places at(chains, true);
  return mean_of({(torsion(at, kOmega).sine / sigma).square(), at.all_observed(kOmega)});
}

at::Tensor clash_loss(const Chains& chains) {
  const auto points = chains.atoms.flatten(1, 2);
  const auto options = points.options().requires_grad(false);
  const auto radii = torch::tensor(std::vector<double>(geometry::kRadii.begin(), geometry::kRadii.end()), options)
                         .repeat({chains.residues()});
  const auto residue = torch::arange(chains.residues() * kAtoms, options).div(kAtoms, "floor");
  const auto apart = (residue.unsqueeze(0) - residue.unsqueeze(1) >= 2).to(points.scalar_type());  // each pair once
  const auto seen = chains.observed.flatten(1, 2);
  const auto pairs = apart * seen.unsqueeze(1) * seen.unsqueeze(2);
  constexpr std::int64_t kByDifferences = 2;  // by products distances are off by far more than rounding
  const auto distances = torch::cdist(points, points, 2.0, kByDifferences);
  const auto overlap = torch::relu(radii.unsqueeze(0) + radii.unsqueeze(1) - geometry::kClashOverlap - distances);
  return ((overlap / geometry::kClashOverlap).square() * pairs).sum({1, 2}) / static_cast<double>(chains.residues());
}

at::Tensor torsion_loss(const Chains& prediction, const Chains& target) {
  std::vector<at::Tensor> values, counts;
  const Places here(prediction, true), there(target, true);
  for (const auto* places : {&kPhi, &kPsi, &kOmega}) {
    const auto a = torsion(here, *places), b = torsion(there, *places);
    values.push_back(1 - (a.cosine * b.cosine + a.sine * b.sine));
    counts.push_back(here.all_observed(*places));
  }
  return mean_of({torch::cat(values, 1).clamp_min(0), torch::cat(counts, 1)});
}

at::Tensor geometry_loss(const Chains& chains) {
  return bond_loss(chains) + angle_loss(chains) + planarity_loss(chains) + clash_loss(chains);
}

// Rotations [samples, 3, 3] of rows `from` [samples, atoms, 3] that bring them nearest to `to`.
at::Tensor nearest_rotation(const at::Tensor& from, const at::Tensor& to) {
  const torch::NoGradGuard no_grad;
  const auto [u, s, vt] = torch::linalg_svd(from.transpose(1, 2).matmul(to), false);
  auto turn = torch::ones({from.size(0), 3}, from.options());
  turn.select(1, 2).copy_(torch::linalg_det(u.matmul(vt)).sign());
  return (u * turn.unsqueeze(1)).matmul(vt);
}

class BackboneTerm : public Term {
 public:
  bool accepts(const model::Element& element) const override { return !element.channel && element.affine; }
  std::int64_t record() const override { return kAtoms * 3; }

  at::Tensor weighted_loss(const Judged& judged) const override {
    const auto observed = judged.observed > 0;
    const auto chains = [&](const at::Tensor& values) {
      return Chains{judged.in_unit(values).reshape({values.size(0), -1, kAtoms, 3}),
                    observed.reshape({values.size(0), -1, kAtoms, 3}).all(-1).to(values.scalar_type())};
    };
    const auto target = torch::where(observed, judged.target, torch::zeros_like(judged.target));
    const auto loss = of(chains(judged.prediction.squeeze(2)), chains(target.to(judged.prediction.scalar_type())));
    return loss.to(judged.target.scalar_type()) * judged.weights();
  }

 protected:
  // [samples, 1], or of each element [samples, 12 residues]
  virtual at::Tensor of(const Chains& prediction, const Chains& target) const = 0;
};

template <at::Tensor (*loss)(const Chains&)>
class OfItself final : public BackboneTerm {
  at::Tensor of(const Chains& prediction, const Chains&) const override { return loss(prediction).unsqueeze(1); }
};

class TorsionTerm final : public BackboneTerm {
  at::Tensor of(const Chains& prediction, const Chains& target) const override {
    return torsion_loss(prediction, target).unsqueeze(1);
  }
};

class Kabsch final : public BackboneTerm {
  at::Tensor of(const Chains& prediction, const Chains& target) const override {
    const auto seen = prediction.observed.flatten(1, 2).unsqueeze(2);
    const auto count = seen.sum(1, true).clamp_min(1);
    const auto centred = [&](const Chains& chains) {
      const auto points = chains.atoms.flatten(1, 2) * seen;
      return (points - points.sum(1, true) / count) * seen;
    };
    const auto from = centred(prediction), to = centred(target);
    return (from.matmul(nearest_rotation(from, to)) - to).square().flatten(1);
  }
};

}  // namespace

std::unique_ptr<Term> make_bond() { return std::make_unique<OfItself<bond_loss>>(); }
std::unique_ptr<Term> make_angle() { return std::make_unique<OfItself<angle_loss>>(); }
std::unique_ptr<Term> make_planarity() { return std::make_unique<OfItself<planarity_loss>>(); }
std::unique_ptr<Term> make_clash() { return std::make_unique<OfItself<clash_loss>>(); }
std::unique_ptr<Term> make_torsion() { return std::make_unique<TorsionTerm>(); }
std::unique_ptr<Term> make_geometry() { return std::make_unique<OfItself<geometry_loss>>(); }
std::unique_ptr<Term> make_kabsch() { return std::make_unique<Kabsch>(); }

}  // namespace ae::loss
