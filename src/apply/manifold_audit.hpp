// Does a purifier leave changes along the manifold of natural images, and take off those that lead away from it? Its
// gain, how much of a small step is left behind it, in directions of a local tangent space, in directions orthogonal
// to that, and for the two parts of what an attack did.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "apply/image_batches.hpp"
#include "base/reporter.hpp"
#include "evaluate/evaluation.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apply {

struct ManifoldOptions {
  std::string input, clean;
  std::string attacked;                         // as many images as are audited, or more, in the same order; "": none
  std::vector<std::string> purifiers;           // at least one; one after another, see PurifierChain
  std::span<const recipe::Checkpoint> among{};  // further models, see PurifierSource
  std::int64_t first = 100;                     // so many images of the input, at least 1
  std::int64_t neighbours = 60;                 // at least 2
  std::int64_t components = 12;                 // fewer than neighbours
  std::int64_t directions = 8;                  // of each kind, at least 1
  double length = 1;                            // of steps, the root of the sum of squares of network pixels
  std::uint64_t seed = 0;                       // of directions, of purifiers that draw, and of intervals
  Unreadable unreadable = Unreadable::report;   // images of the input; with `attacked` the first one ends the audit
  std::vector<std::pair<std::string, std::string>> outputs;  // options and files, which must be none that is read
};

// What an attack did to one image, in parts; lengths are roots of sums of squares.
struct AttackParts {
  double length = 0;                          // of the whole
  double tangent_share = 0;                   // of its square
  std::optional<double> tangent, orthogonal;  // gains; none where that part is next to nothing
};

struct ManifoldImage {
  std::string id, label;
  double nearest = 0, farthest = 0;    // of its neighbours, as distances
  std::int64_t components = 0;         // of its tangent space: fewer where the neighbours span no more
  double variance = 0;                 // of the neighbours, the share within these
  double tangent = 0, orthogonal = 0;  // gains, means over the directions
  std::optional<AttackParts> attack;   // none: not given, or not changed
};

struct ManifoldAudit {
  std::vector<ManifoldImage> images;
  std::vector<std::int64_t> size;  // [channels, height, width]
  bool has_labels = false;
  std::int64_t clean = 0;      // images
  std::int64_t copies = 0;     // audited images that are among them
  std::int64_t unchanged = 0;  // that the attack left as they were
  std::int64_t unreadable = 0;
};

// The tangent space at an image: the leading principal components of its nearest clean images by Euclidean distance,
// about their mean, those equal to it left out. The gain of a step d is ||A(x + d) - A(x)|| / ||d||, A being what the
// purifiers do; directions are normal random vectors' parts in the tangent space and outside of it, at `length`. What
// purifiers draw at random is the same for all steps from one image. Pixels beyond [0, 1] stay. Clean images pass by
// once for as many audited ones as 256 MiB hold the neighbours of. UsageError for components that leave no direction,
// and for an output that is read; InputError for images of several sizes, for too few clean or attacked ones, for clean
// or attacked images that cannot be read, and when none is left.
ManifoldAudit audit_manifold(const recipe::Checkpoint& checkpoint, const ManifoldOptions& options, Reporter& reporter);

// A mean over images, with its central 95 % of 2,000 bootstrap resamples of images (none of a single one, nor
// where an end of it is not finite), and a median.
struct ManifoldFigure {
  double mean = 0;
  std::optional<evaluate::Interval> interval;
  double median = 0;
  std::int64_t images = 0;
};

struct ManifoldSummary {
  ManifoldFigure tangent, orthogonal;
  // Of the means; its median is that of the ratios of those images that have one. None: every orthogonal gain is 0.
  std::optional<ManifoldFigure> ratio;
  std::optional<ManifoldFigure> attack_tangent, attack_orthogonal, tangent_share, attack_length;
  // Of the images that have both, the tangent gain less that of the attack's orthogonal part.
  std::optional<ManifoldFigure> predictor;
};
ManifoldSummary summary_of(const ManifoldAudit& audit, std::uint64_t seed);  // of at least one image

}  // namespace ae::apply
