#include "geometry/relax.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "base/signals.hpp"
#include "geometry/band_matrix.hpp"
#include "geometry/clashes.hpp"
#include "geometry/derivatives.hpp"
#include "geometry/frame.hpp"
#include "geometry/restraints.hpp"

namespace ae::geometry {
namespace {

// Root mean squares of z that structures may have, by kind: of bonds and angles those of crystal fragments of 16
// residues, of omega 4.6 degrees, which whole chains have.
constexpr std::array<double, kRestraintKinds> kLimits{0.58, 0.88, 0.8, 1.0};
constexpr double kMostZ = 4, kMostOverlap = kClashOverlap;
// What is beyond those is brought to a little less.
constexpr double kWantedZ = 3.5, kWantedOverlap = 0.35;
constexpr double kWatched = -0.6;  // overlap (Angstrom) of pairs that may come to clash soon

struct Weights {
  std::array<double, kRestraintKinds> z2{};
  double outlier = 0.01;  // of squares of what |z| is beyond kWantedZ
  double clash = 10;      // of squares of what overlaps are beyond kWantedOverlap
};

struct State {
  double energy = 0;  // squared displacement and the weighted squares
  std::array<double, kRestraintKinds> z2{};
  double worst_z = 0, worst_overlap = 0;
};

// Two atoms that are pushed apart.
struct Push {
  std::size_t first, second;  // the coordinates x
  Point along;
};

double product_of(const std::vector<double>& a, const std::vector<double>& b) {
  double total = 0;
  for (std::size_t i = 0; i < a.size(); ++i) total += a[i] * b[i];
  return total;
}

// One linear system: the band that restraints and displacement make, and pushes, most of which lie outside of it.
class System {
 public:
  System(std::size_t atoms, std::size_t reach) : band_(3 * atoms, 3 * reach + 2), factor_(band_), wanted_(3 * atoms) {}

  void clear(double diagonal) {
    band_.clear();
    pushes_.clear();
    std::ranges::fill(wanted_, 0);
    for (std::size_t i = 0; i < wanted_.size(); ++i) band_.at(i, i) = diagonal;
  }

  void pull(std::size_t atom, const Point& by) {
    for (std::size_t x = 0; x < 3; ++x) wanted_[3 * atom + x] += by[x];
  }

  // weight/2 z^2 to second order but for the curvature of z, and minus `slope` of it by z.
  void add(const Restraint& restraint, const Strain& strain, double weight, double slope) {
    const auto points = restraint.points();
    for (std::size_t a = 0; a < points; ++a) {
      pull(restraint.atoms[a], scaled(strain.derivatives[a], -slope));
      for (std::size_t b = 0; b < points; ++b)
        if (restraint.atoms[b] <= restraint.atoms[a])
          add_block(restraint.atoms[a], restraint.atoms[b], strain.derivatives[a],
                    scaled(strain.derivatives[b], weight));
    }
  }

  // Likewise of weight/2 beyond^2, for what two atoms are too near, `along` from the second to the first.
  void push(std::size_t first, std::size_t second, const Point& along, double weight, double beyond) {
    for (const auto atom : {first, second}) {
      pull(atom, scaled(along, (atom == first ? weight : -weight) * beyond));
      add_block(atom, atom, along, scaled(along, weight));
    }
    pushes_.push_back({3 * first, 3 * second, scaled(along, std::sqrt(weight))});
  }

  // None where the matrix is not positive definite in floating point, or the solution overflows.
  std::optional<std::vector<double>> solve() {
    factor_ = band_;
    if (!factor_.factorise()) return std::nullopt;
    auto found = wanted_;
    factor_.solve(found);
    if (!pushes_.empty()) refine(found);
    if (!std::ranges::all_of(found, [](double x) { return std::isfinite(x); })) return std::nullopt;
    return found;
  }

 private:
  void add_block(std::size_t row, std::size_t column, const Point& left, const Point& right) {
    for (std::size_t x = 0; x < 3; ++x)
      for (std::size_t y = 0; y < (row == column ? x + 1 : 3); ++y)
        band_.at(3 * row + x, 3 * column + y) += left[x] * right[y];
  }

  void multiply(const std::vector<double>& by, std::vector<double>& product) const {
    band_.multiply(by, product);
    for (const auto& [first, second, along] : pushes_) {
      double a = 0, b = 0;
      for (std::size_t x = 0; x < 3; ++x) {
        a += along[x] * by[first + x];
        b += along[x] * by[second + x];
      }
      for (std::size_t x = 0; x < 3; ++x) {
        product[first + x] -= along[x] * b;
        product[second + x] -= along[x] * a;
      }
    }
  }

  // Conjugate gradients; what lies within the band makes the preconditioner.
  void refine(std::vector<double>& found) const {
    constexpr int kMost = 40;
    constexpr double kEnough = 1e-3;  // of the residual's norm; the next step begins with what is left
    std::vector<double> product;
    multiply(found, product);
    auto rest = wanted_;
    for (std::size_t i = 0; i < rest.size(); ++i) rest[i] -= product[i];
    auto conditioned = rest;
    factor_.solve(conditioned);
    auto along = conditioned;
    double size = product_of(rest, conditioned);
    const double enough = size * kEnough * kEnough;
    for (int i = 0; i < kMost && size > enough; ++i) {
      multiply(along, product);
      const double step = size / product_of(along, product);
      for (std::size_t k = 0; k < rest.size(); ++k) {
        found[k] += step * along[k];
        rest[k] -= step * product[k];
      }
      conditioned = rest;
      factor_.solve(conditioned);
      const double next = product_of(rest, conditioned);
      for (std::size_t k = 0; k < along.size(); ++k) along[k] = conditioned[k] + next / size * along[k];
      size = next;
    }
  }

  BandMatrix band_, factor_;
  std::vector<double> wanted_;
  std::vector<Push> pushes_;
};

class Relaxation {
 public:
  explicit Relaxation(const RestrainedChain& chain)
      : chain_(chain), at_(chain.start()), system_(at_.size(), chain.reach()) {
    constexpr double kOfNoise = 0.03, kLeastWeight = 1e-4;  // near where they settle
    for (const auto& restraint : chain.restraints()) ++counts_.at(static_cast<std::size_t>(restraint.kind));
    weights_.z2.fill(std::max(kOfNoise * chain.noise(), kLeastWeight));
    find_contacts();
    state_ = judge(at_);
  }

  const Points& at() const { return at_; }

  Relaxed run(std::int64_t most) {
    constexpr double kMostDamping = 1e12;
    Relaxed told;
    told.converged = is_fine();
    double damping = 0;
    while (!told.converged && told.steps < most && damping < kMostDamping) {
      throw_if_stopped("relaxing structures");
      ++told.steps;
      if (const auto step = solve(damping); step && take(*step, told.converged))
        damping = damping <= 1 ? 0 : damping / 8;
      else
        damping = std::max(1.0, damping * 8);
    }
    return told;
  }

 private:
  // False where it leads upwards. `settled`: whether nothing is to be done any more.
  bool take(const std::vector<double>& step, bool& settled) {
    constexpr double kEnough = 1e-4;     // share of the energy
    constexpr double kMostStretch = 16;  // Gauss-Newton steps are short where z curves against them
    constexpr double kRounding = 1e-12;
    auto there = moved(step, 1);
    auto state = judge(there);
    if (!(state.energy <= state_.energy * (1 + kRounding))) return false;
    for (double stretch = 2; stretch <= kMostStretch; stretch *= 2) {
      auto further = moved(step, stretch);
      const auto state_there = judge(further);
      if (!(state_there.energy < state.energy)) break;
      there = std::move(further);
      state = state_there;
    }
    double longest = 0;
    for (std::size_t i = 0; i < there.size(); ++i) longest = std::max(longest, distance(at_[i], there[i]));
    const double gained = state_.energy - state.energy;
    at_ = std::move(there);
    state_ = state;
    settled = adapt(longest) && gained <= kEnough * state.energy;
    find_contacts();
    state_ = judge(at_);
    return true;
  }

  Points moved(const std::vector<double>& step, double times) const {
    auto there = at_;
    for (std::size_t i = 0; i < there.size(); ++i)
      for (std::size_t x = 0; x < 3; ++x) there[i][x] += times * step[3 * i + x];
    return there;
  }

  // Anew where an atom moved so far that one may have come near that was not watched.
  void find_contacts() {
    constexpr double kFar = 0.25;
    static_assert(2 * kFar < kWantedOverlap - kWatched);
    bool far = watched_from_.empty();
    for (std::size_t i = 0; i < at_.size() && !far; ++i) far = distance(at_[i], watched_from_[i]) > kFar;
    if (!far) return;
    contacts_ = chain_.contacts(at_, kWatched);
    watched_from_ = at_;
  }

  double rms(std::size_t kind) const {
    return counts_.at(kind) == 0 ? 0 : std::sqrt(state_.z2.at(kind) / static_cast<double>(counts_.at(kind)));
  }

  bool is_fine() const {
    for (std::size_t kind = 0; kind < kRestraintKinds; ++kind)
      if (rms(kind) > kLimits.at(kind)) return false;
    return state_.worst_z <= kMostZ && state_.worst_overlap < kMostOverlap;
  }

  State judge(const Points& at) const {
    State state;
    for (std::size_t i = 0; i < at.size(); ++i) {
      const auto off = difference(at[i], chain_.start()[i]);
      state.energy += dot(off, off);
    }
    for (const auto& restraint : chain_.restraints()) {
      const auto kind = static_cast<std::size_t>(restraint.kind);
      const double z = strain_of(restraint, at).z, beyond = std::max(0.0, std::abs(z) - kWantedZ);
      state.z2.at(kind) += z * z;
      state.worst_z = std::max(state.worst_z, std::abs(z));
      state.energy += weights_.z2.at(kind) * z * z + weights_.outlier * beyond * beyond;
    }
    for (const auto& [first, second, touching] : contacts_) {
      const double overlap = touching - distance(at[first], at[second]);
      const double beyond = std::max(0.0, overlap - kWantedOverlap);
      state.worst_overlap = std::max(state.worst_overlap, overlap);
      state.energy += weights_.clash * beyond * beyond;
    }
    return state;
  }

  std::optional<std::vector<double>> solve(double damping) {
    system_.clear(1 + damping);
    for (std::size_t i = 0; i < at_.size(); ++i) system_.pull(i, difference(chain_.start()[i], at_[i]));
    for (const auto& restraint : chain_.restraints()) {
      const auto strain = strain_of(restraint, at_);
      const double own = weights_.z2.at(static_cast<std::size_t>(restraint.kind));
      const double beyond = std::max(0.0, std::abs(strain.z) - kWantedZ);
      system_.add(restraint, strain, own + (beyond > 0 ? weights_.outlier : 0),
                  own * strain.z + weights_.outlier * std::copysign(beyond, strain.z));
    }
    for (const auto& [first, second, touching] : contacts_) {
      const auto [apart, derivatives] = distance_derivatives(at_[first], at_[second]);
      const double beyond = touching - apart - kWantedOverlap;
      if (beyond > 0) system_.push(first, second, derivatives[0], weights_.clash, beyond);
    }
    return system_.solve();
  }

  // Brings the weights nearer to where the limits are just kept; whether they were. `longest`: what an atom has moved
  // in the last step; after long ones deviations fall without further weight.
  bool adapt(double longest) {
    constexpr double kMostChange = 4, kLeast = 1e-9, kMost = 1e6;
    constexpr double kNear = 0.02;               // of a limit
    constexpr double kIdle = 0.01;               // share of the energy of what needs no weight
    constexpr double kLong = 0.2, kShort = 0.1;  // Angstrom
    bool kept = true;
    for (std::size_t kind = 0; kind < kRestraintKinds; ++kind) {
      auto& weight = weights_.z2.at(kind);
      const double ratio = rms(kind) / kLimits.at(kind);
      const bool idle = ratio <= 1 && weight * state_.z2.at(kind) <= kIdle * state_.energy;
      kept = kept && (idle || std::abs(ratio - 1) < kNear);
      const double change =
          ratio < 1 ? std::max(ratio * ratio, 1 / kMostChange) : std::min(ratio, longest < kLong ? kMostChange : 1);
      weight = std::clamp(weight * change, kLeast, kMost);
    }
    const auto keep = [&](bool held, double& weight) {
      if (!held && longest < kShort) weight = std::min(weight * 2, kMost);
      kept = kept && held;
    };
    keep(state_.worst_z < kMostZ - 0.1, weights_.outlier);
    keep(state_.worst_overlap < kMostOverlap - 0.005, weights_.clash);
    return kept;
  }

  const RestrainedChain& chain_;
  Points at_;
  std::array<std::int64_t, kRestraintKinds> counts_{};
  std::vector<Contact> contacts_;
  Points watched_from_;
  Weights weights_;
  State state_;
  System system_;
};

Point carried(const Point& cb, const BackboneResidue& before, const BackboneResidue& after) {
  if (!before.has(kCa)) return cb;
  const auto from = frame_of(before), to = frame_of(after);
  if (!from || !to) return sum(after.at(kCa), difference(cb, before.at(kCa)));
  return to->out_of(from->into(cb));
}

bool is_within_bounds(const Points& points) {
  return std::ranges::all_of(points, [](const Point& point) {
    return std::ranges::all_of(point, [](double x) { return std::abs(x) <= kMostCoordinate; });
  });
}

}  // namespace

Relaxed relax(Backbone& backbone, const RelaxOptions& options) {
  const RestrainedChain chain(backbone);
  Relaxation relaxation(chain);
  auto told = relaxation.run(options.steps);
  if (!is_within_bounds(relaxation.at())) return {told.steps, false, 0};
  double squares = 0;
  for (std::size_t i = 0; i < chain.start().size(); ++i) {
    const auto off = difference(relaxation.at()[i], chain.start()[i]);
    squares += dot(off, off);
  }
  if (squares == 0) return told;
  told.moved = std::sqrt(squares / static_cast<double>(chain.start().size()));
  const auto before = backbone;
  chain.put(relaxation.at(), backbone);
  for (std::size_t i = 0; i < backbone.residues.size(); ++i)
    if (auto& cb = backbone.residues[i].cb) cb = carried(*cb, before.residues[i], backbone.residues[i]);
  return told;
}

}  // namespace ae::geometry
