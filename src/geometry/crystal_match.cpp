#include "geometry/crystal_match.hpp"
#include "base/signals.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>

#include "geometry/assignment.hpp"

namespace ae::geometry {
namespace {

constexpr std::int64_t kMostWork = 300'000'000;  // distances, or steps as long; some seconds
constexpr int kMostTurns = 50;
constexpr Point kNever{1e3, 0, 0};  // a displacement that is not chosen
constexpr double kSame = 1e-14;     // of mean square displacements in units of (volume / sites)^(2/3)

Point wrapped(const Point& fractions) {
  Point all{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    all[axis] = fractions[axis] - std::floor(fractions[axis]);
    if (all[axis] >= 1) all[axis] = 0;  // of a tiny negative
  }
  return all;
}

struct Group {
  std::size_t begin, end;
  std::size_t size() const { return end - begin; }
};

std::vector<Group> groups_of(const std::vector<std::string>& kinds) {
  std::vector<Group> groups;
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (groups.empty() || kinds[i] != kinds[groups.back().begin]) groups.push_back({i, i});
    groups.back().end = i + 1;
  }
  return groups;
}

const Group& rarest(const std::vector<Group>& groups) { return *std::ranges::min_element(groups, {}, &Group::size); }

// --- The primitive cell ---

// A translation by `steps` / `order` of the vectors, which brings each site to the one `image` says.
struct Repetition {
  std::int64_t order = 1;
  std::array<std::int64_t, 3> steps{};
  std::vector<std::size_t> image;

  Point fractions() const {
    const auto whole = static_cast<double>(order);
    return {static_cast<double>(steps[0]) / whole, static_cast<double>(steps[1]) / whole,
            static_cast<double>(steps[2]) / whole};
  }
};

// Of a finite group of translations each has an element of prime order, which is 1/p, 2/p, ... of lattice vectors:
// those from a site of the rarest kind to another one, rounded to these.
class Reduction {
 public:
  Reduction(PrimitiveCell cell, double tolerance) : cell_(std::move(cell)), tolerance_(tolerance) {}

  PrimitiveCell result() && {
    while (const auto found = repetition()) fold(*found);
    auto basis = reduced(cell_.lattice);
    place(basis);
    return std::move(cell_);
  }

 private:
  std::optional<Repetition> repetition() const {
    const auto groups = groups_of(cell_.kinds);
    auto common = groups.front().size();
    for (const auto& group : groups) common = std::gcd(common, group.size());
    const NearestImage nearest(cell_.lattice);
    for (std::size_t prime = 2; common > 1; ++prime) {
      if (common % prime != 0) continue;
      while (common % prime == 0) common /= prime;
      if (auto found = repetition(static_cast<std::int64_t>(prime), groups, nearest)) return found;
    }
    return std::nullopt;
  }

  std::optional<Repetition> repetition(std::int64_t order, const std::vector<Group>& groups,
                                       const NearestImage& nearest) const {
    const auto [begin, end] = rarest(groups);
    for (auto other = begin + 1; other < end; ++other) {
      Repetition found{order, {}, {}};
      const auto apart = difference(cell_.sites[other], cell_.sites[begin]);
      for (std::size_t axis = 0; axis < 3; ++axis) {
        const auto steps = std::llround(apart[axis] * static_cast<double>(order)) % order;
        found.steps[axis] = (steps + order) % order;
      }
      if (found.steps == std::array<std::int64_t, 3>{}) continue;
      if (!is_near(nearest, apart, found.fractions())) continue;
      if (repeats(found, groups, nearest)) return found;
    }
    return std::nullopt;
  }

  bool is_near(const NearestImage& nearest, const Point& a, const Point& b) const {
    return length(nearest(cartesian(cell_.lattice, difference(a, b)))) <= tolerance_;
  }

  // Finds the images; each must be that of one site, and the first one again after `order` times.
  bool repeats(Repetition& found, const std::vector<Group>& groups, const NearestImage& nearest) const {
    const auto count = cell_.sites.size();
    found.image.assign(count, count);
    std::vector<bool> taken(count);
    const auto shift = found.fractions();
    for (const auto& group : groups) {
      for (auto i = group.begin; i < group.end; ++i) {
        const auto moved = sum(cell_.sites[i], shift);
        auto j = group.begin;
        while (j < group.end && (taken[j] || !is_near(nearest, cell_.sites[j], moved))) ++j;
        if (j == group.end) return false;
        taken[j] = true;
        found.image[i] = j;
      }
    }
    for (std::size_t i = 0; i < count; ++i) {
      auto at = found.image[i];
      std::int64_t turns = 1;
      for (; at != i && turns <= found.order; ++turns) at = found.image[at];
      if (turns != found.order) return false;
    }
    return true;
  }

  void fold(const Repetition& found) {
    const NearestImage nearest(cell_.lattice);
    const auto shift = found.fractions();
    PrimitiveCell folded;
    folded.kinds_of_file = cell_.kinds_of_file;
    double squares = 0, farthest = 0;
    std::vector<bool> done(cell_.sites.size());
    for (std::size_t i = 0; i < cell_.sites.size(); ++i) {
      if (done[i]) continue;
      Point mean{};
      std::vector<Point> all;
      auto at = i;
      for (std::int64_t turn = 0; turn < found.order; ++turn, at = found.image[at]) {
        done[at] = true;
        const auto apart =
            difference(difference(cell_.sites[at], cell_.sites[i]), scaled(shift, static_cast<double>(turn)));
        all.push_back(nearest(cartesian(cell_.lattice, apart)));
        mean = sum(mean, scaled(all.back(), 1 / static_cast<double>(found.order)));
      }
      for (const auto& one : all) {
        const auto off = difference(one, mean);
        squares += dot(off, off);
        farthest = std::max(farthest, length(off));
      }
      folded.sites.push_back(sum(cartesian(cell_.lattice, cell_.sites[i]), mean));
      folded.kinds.push_back(cell_.kinds[i]);
    }
    folded.spread = cell_.spread + squares / static_cast<double>(cell_.sites.size());
    folded.farthest = cell_.farthest + farthest;
    folded.lattice = finer(found);
    const Fractions fractions(folded.lattice);
    for (auto& site : folded.sites) site = wrapped(fractions(site));
    cell_ = std::move(folded);
  }

  // A multiple of the translation is 1/order along some vector, modulo lattice vectors, and takes its place.
  Lattice finer(const Repetition& found) const {
    auto lattice = cell_.lattice;
    std::size_t axis = 0;
    while (found.steps[axis] == 0) ++axis;
    std::int64_t times = 1;
    while (times * found.steps[axis] % found.order != 1) ++times;
    auto scaled_up = found;
    for (auto& steps : scaled_up.steps) steps = steps * times % found.order;
    lattice[axis] = cartesian(cell_.lattice, scaled_up.fractions());
    return reduced(lattice);
  }

  void place(const Lattice& basis) {
    const Fractions fractions(basis);
    for (auto& site : cell_.sites) site = wrapped(fractions(cartesian(cell_.lattice, site)));
    cell_.lattice = basis;
  }

  PrimitiveCell cell_;
  double tolerance_;
};

// --- Laying one on the other ---

Lattice enlarged(const Lattice& lattice, double factor) {
  return {scaled(lattice[0], factor), scaled(lattice[1], factor), scaled(lattice[2], factor)};
}

// How much `from` is strained to become `to`.
double strain_of(const Lattice& from, const Lattice& to) {
  const Fractions fractions(from);
  const std::array axes{fractions({1, 0, 0}), fractions({0, 1, 0}), fractions({0, 0, 1})};
  double squares = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      const double off = dot(cartesian(to, axes[i]), cartesian(to, axes[j])) - (i == j ? 1 : 0);
      squares += off * off;
    }
  }
  return std::sqrt(squares) / 2;
}

struct Basis {
  Lattice lattice{};
  double strain = 0;
};

// Lays `other` on `one` by every basis of the other's lattice that is like the one's.
class Search {
 public:
  Search(const PrimitiveCell& one, const PrimitiveCell& other, const MatchTolerances& tolerances)
      : one_(one),
        other_(other),
        tolerances_(tolerances),
        groups_(groups_of(one.kinds)),
        count_(one.sites.size()),
        most_(static_cast<double>(count_) * tolerances.site * tolerances.site),
        least_(most_),
        ratio_(std::pow(volume(other.lattice) / volume(one.lattice), 1.0 / 6)),
        lattice_(enlarged(one.lattice, ratio_)),
        other_lattice_(enlarged(other.lattice, 1 / ratio_)),
        pairs_(count_ * count_) {}

  MatchResult result() && {
    auto all = bases();
    std::ranges::stable_sort(all, {}, &Basis::strain);
    for (const auto& basis : all)
      if (spend(0)) lay(basis);
    if (spent_ > kMostWork) return {std::nullopt, true};
    return {match_, false};
  }

 private:
  // Vectors of the other lattice that are as long as one of this.
  std::array<std::vector<Point>, 3> candidates(const Point& lengths) {
    const double most = 1 + tolerances_.length;
    const double longest = *std::ranges::max_element(lengths) * most;
    const auto spacings = plane_spacings(other_lattice_);
    std::array<double, 3> bounds{};
    double work = 1;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      bounds[axis] = std::floor(longest / spacings[axis] + 1e-9);
      work *= 2 * bounds[axis] + 1;
    }
    std::array<std::vector<Point>, 3> all;
    if (!spend(100 * work)) return all;
    for (double i = -bounds[0]; i <= bounds[0]; ++i) {
      for (double j = -bounds[1]; j <= bounds[1]; ++j) {
        for (double k = -bounds[2]; k <= bounds[2]; ++k) {
          const auto vector = cartesian(other_lattice_, {i, j, k});
          const double own = length(vector);
          for (std::size_t axis = 0; axis < 3; ++axis)
            if (own < lengths[axis] * most && own * most > lengths[axis]) all[axis].push_back(vector);
        }
      }
    }
    return all;
  }

  std::vector<Basis> bases() {
    const auto own = parameters_of(lattice_);
    const auto vectors = candidates(own.lengths);
    const double whole = volume(lattice_);
    const Point origin{};
    const auto encloses = [&](const Point& a, const Point& b, double degrees) {
      return std::abs(angle(a, origin, b) * kDegrees - degrees) < tolerances_.angle;
    };
    std::vector<Basis> all;
    for (const auto& a : vectors[0]) {
      throw_if_stopped("comparing crystals");
      for (const auto& b : vectors[1]) {
        if (!spend(1)) return all;
        if (!encloses(a, b, own.angles[2])) continue;
        if (!spend(static_cast<double>(vectors[2].size()))) return all;
        for (const auto& c : vectors[2]) {
          const Lattice basis{a, b, c};
          const double cells = volume(basis) / whole;
          if (cells < 0.5 || cells > 1.5 || !encloses(b, c, own.angles[0]) || !encloses(a, c, own.angles[1])) continue;
          all.push_back({basis, strain_of(lattice_, basis)});
          if (!spend(1000)) return all;
        }
      }
    }
    return all;
  }

  // Distances are in units of (volume / sites)^(1/3) from here on.
  void lay(const Basis& basis) {
    const auto a = parameters_of(lattice_), b = parameters_of(basis.lattice);
    const auto middle = lattice_of({scaled(sum(a.lengths, b.lengths), 0.5), scaled(sum(a.angles, b.angles), 0.5)});
    if (!middle) return;
    const auto own = enlarged(basis.lattice, ratio_);
    strain_ = strain_of(one_.lattice, own);
    unit_ = std::cbrt(volume(*middle) / static_cast<double>(count_));
    const auto mean = enlarged(*middle, 1 / unit_);
    const NearestImage nearest(mean);
    set_normals(mean);
    const Fractions fractions(basis.lattice);
    at_.clear();
    other_at_.clear();
    for (std::size_t i = 0; i < count_; ++i) {
      at_.push_back(cartesian(mean, one_.sites[i]));
      other_at_.push_back(cartesian(mean, fractions(cartesian(other_lattice_, other_.sites[i]))));
    }
    const auto [begin, end] = origin();
    for (auto i = begin; i < end; ++i) descend(difference(at_[i], other_at_[begin]), nearest);
  }

  // The rarest kind, of several that which is first in the one's file.
  const Group& origin() const {
    const auto fewest = rarest(groups_).size();
    for (const auto& kind : one_.kinds_of_file)
      for (const auto& group : groups_)
        if (group.size() == fewest && one_.kinds[group.begin] == kind) return group;
    return rarest(groups_);
  }

  // Of lattice planes, in the cell as it is and in its shortest vectors.
  void set_normals(const Lattice& lattice) {
    std::size_t next = 0;
    for (const auto& [a, b, c] : {lattice, reduced(lattice)})
      for (const auto& normal : {cross(b, c), cross(c, a), cross(a, b)})
        normals_[next++] = scaled(normal, 1 / length(normal));
  }

  // Whether a displacement is within StructureMatcher's bounds from which the shift is found.
  bool in_reach(const Point& displacement) const {
    return std::ranges::all_of(
        normals_, [&](const Point& normal) { return std::abs(dot(normal, displacement)) <= 2 * tolerances_.site; });
  }

  // From a shift that brings two sites together.
  void descend(Point shift, const NearestImage& nearest) {
    double before = std::numeric_limits<double>::infinity();
    for (int turns = 0; turns < kMostTurns; ++turns) {
      if (!spend(0) || !measure(shift, nearest, turns == 0)) return;
      const auto mean = assign();
      double squares = 0, largest = 0;
      for (const auto& displacement : displacements_) {
        const auto left = difference(displacement, mean);
        squares += dot(left, left);
        largest = std::max(largest, dot(left, left));
      }
      if (!(squares < most_) || !(squares < before * (1 - 1e-9))) return;
      before = squares;
      // Of equal ones the first, which is that of the least strain.
      if (squares < least_ - kSame * static_cast<double>(count_)) {
        least_ = squares;
        const double rms = std::sqrt(squares / static_cast<double>(count_));
        match_ = CrystalMatch{rms, rms * unit_, std::sqrt(largest) * unit_, strain_};
      }
      shift = sum(shift, mean);
    }
  }

  // Fills the table of displacements; false when no assignment can be better than the best until now. With S the sum of
  // squares about the mean m, and two sites together at first, |m|^2 <= S: so the sum of squares is at most (n + 1) S,
  // and each of them at most 2 S.
  bool measure(const Point& shift, const NearestImage& nearest, bool together) {
    double sum_of_least = 0;
    const double sites = static_cast<double>(count_);
    for (const auto& group : groups_) {
      for (auto i = group.begin; i < group.end; ++i) {
        const auto from = difference(at_[i], shift);
        double least = std::numeric_limits<double>::infinity();
        for (auto j = group.begin; j < group.end; ++j) {
          auto& pair = pairs_[i * count_ + j];
          pair = nearest(difference(from, other_at_[j]));
          if (together && !in_reach(pair)) pair = kNever;
          least = std::min(least, dot(pair, pair));
        }
        spent_ += static_cast<std::int64_t>(group.size());
        sum_of_least += least;
        if (together && (least > 2 * least_ || sum_of_least > (sites + 1) * least_)) return false;
      }
    }
    return true;
  }

  // Of the displacements the mean.
  Point assign() {
    displacements_.clear();
    Point all{};
    for (const auto& group : groups_) {
      const auto size = group.size();
      costs_.resize(size * size);
      for (std::size_t i = 0; i < size; ++i) {
        for (std::size_t j = 0; j < size; ++j) {
          const auto& pair = pairs_[(group.begin + i) * count_ + group.begin + j];
          costs_[i * size + j] = dot(pair, pair);
        }
      }
      spent_ += static_cast<std::int64_t>(size * size * size / 16);
      const auto columns = assignment_(costs_, size);
      for (std::size_t i = 0; i < size; ++i) {
        displacements_.push_back(pairs_[(group.begin + i) * count_ + group.begin + columns[i]]);
        all = sum(all, displacements_.back());
      }
    }
    return scaled(all, 1 / static_cast<double>(count_));
  }

  bool spend(double work) {
    spent_ += static_cast<std::int64_t>(std::min(work, static_cast<double>(kMostWork) + 1));
    return spent_ <= kMostWork;
  }

  const PrimitiveCell& one_;
  const PrimitiveCell& other_;
  MatchTolerances tolerances_;
  std::vector<Group> groups_;
  std::size_t count_;
  double most_, least_;  // sums of squares: of what can be a match, and of the best until now
  double ratio_;
  Lattice lattice_, other_lattice_;
  std::vector<Point> pairs_;
  double unit_ = 1;    // Angstrom
  double strain_ = 0;  // of the basis
  std::array<Point, 6> normals_{};
  std::optional<CrystalMatch> match_;
  std::int64_t spent_ = 0;
  std::vector<Point> at_, other_at_, displacements_;
  std::vector<double> costs_;
  Assignment assignment_;
};

// Of two primitive cells. What was averaged away is added to the displacements, as it is independent of them.
MatchResult match_cells(const PrimitiveCell& one, const PrimitiveCell& other, const MatchTolerances& tolerances) {
  if (one.kinds != other.kinds) return {};
  auto found = Search(one, other, tolerances).result();
  if (auto& match = found.match; match && one.spread + other.spread > 0) {
    const double rms = std::sqrt(match->rms * match->rms + one.spread + other.spread);
    const double unit =
        std::cbrt(std::sqrt(volume(one.lattice) * volume(other.lattice)) / static_cast<double>(one.sites.size()));
    match->normalised_rms = match->rms > 0 ? match->normalised_rms * (rms / match->rms) : rms / unit;
    match->rms = rms;
    match->largest += one.farthest + other.farthest;
    if (match->normalised_rms >= tolerances.site) match.reset();
  }
  return found;
}

}  // namespace

std::optional<PrimitiveCell> primitive_cell(const Crystal& crystal, double tolerance) {
  if (!crystal.lattice || volume(*crystal.lattice) < kLeastVolume) return std::nullopt;
  if (crystal.sites.empty() || crystal.sites.size() > kMostMatchedSites) return std::nullopt;
  std::vector<std::pair<std::string, Point>> sites;
  for (const auto& site : crystal.sites) sites.emplace_back(site.kind(), site.at);
  std::ranges::stable_sort(sites, {}, [](const auto& site) -> const std::string& { return site.first; });
  PrimitiveCell cell;
  cell.lattice = *crystal.lattice;
  for (const auto& site : crystal.sites)
    if (const auto kind = site.kind(); std::ranges::find(cell.kinds_of_file, kind) == cell.kinds_of_file.end())
      cell.kinds_of_file.push_back(kind);
  for (auto& [kind, at] : sites) {
    cell.sites.push_back(at);
    cell.kinds.push_back(std::move(kind));
  }
  return Reduction(std::move(cell), tolerance).result();
}

MatchResult match(const Crystal& one, const Crystal& other, const MatchTolerances& tolerances) {
  if (std::max(one.sites.size(), other.sites.size()) > kMostMatchedSites) return {std::nullopt, true};
  MatchResult result;
  for (const double tolerance : {tolerances.exact, tolerances.rough}) {
    const auto a = primitive_cell(one, tolerance), b = primitive_cell(other, tolerance);
    if (!a || !b) return {};
    result = match_cells(*b, *a, tolerances);
    if (result.match) return result;
  }
  return result;
}

}  // namespace ae::geometry
