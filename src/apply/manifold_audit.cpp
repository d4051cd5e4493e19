#include "apply/manifold_audit.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <span>

#include "apply/clean_images.hpp"
#include "apply/named_files.hpp"
#include "apply/purifiers.hpp"
#include "apply/streams.hpp"
#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "base/signals.hpp"
#include "evaluate/intervals.hpp"

namespace ae::apply {
namespace {

constexpr std::int64_t kMostNeighbourBytes = std::int64_t{1} << 28;
constexpr std::int64_t kMostProbePixels = std::int64_t{1} << 22;
constexpr std::int64_t kMostProbes = 256;
constexpr double kSmallestPart = 1e-4;  // of an attack: rounding of pixels is of the size of what is shorter

double squared_distance(const float* a, const float* b, std::int64_t count) {
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return sum;
}

// Squared distances of rows [n, width] from rows [m, width], both float64: [n, m], but for rounding.
at::Tensor squared_distances(const at::Tensor& from, const at::Tensor& to) {
  return from.square().sum(1, true) + to.square().sum(1).unsqueeze(0) - 2 * from.matmul(to.t());
}

// The nearest ones of what passes by, in ascending order; of equally near ones those that came first.
class NearestImages {
 public:
  NearestImages(at::Tensor image, std::int64_t most)
      : image_(std::move(image)), most_(static_cast<std::size_t>(most)) {}

  // Whether something as far away, give or take rounding, may be one of them.
  bool may_take(double squared, double rounding) const {
    return nearest_.size() < most_ || squared <= nearest_.back().squared + rounding;
  }
  // `kept` gives the pixels to keep; called only when it is one of them.
  void add(const float* pixels, const std::function<at::Tensor()>& kept) {
    const double squared = squared_distance(image_.data_ptr<float>(), pixels, image_.numel());
    if (squared == 0) {
      among_them_ = true;
      return;
    }
    if (nearest_.size() == most_ && squared >= nearest_.back().squared) return;
    if (nearest_.size() == most_) nearest_.pop_back();
    const auto place = std::ranges::upper_bound(nearest_, squared, {}, &Neighbour::squared);
    nearest_.insert(place, {squared, kept()});
  }
  std::size_t size() const { return nearest_.size(); }
  bool among_them() const { return among_them_; }  // an image equal to it passed by
  double nearest() const { return std::sqrt(nearest_.front().squared); }
  double farthest() const { return std::sqrt(nearest_.back().squared); }
  at::Tensor all() const {  // [n, pixels]
    std::vector<at::Tensor> pixels;
    for (const auto& neighbour : nearest_) pixels.push_back(neighbour.pixels);
    return torch::stack(pixels);
  }

 private:
  struct Neighbour {
    double squared;
    at::Tensor pixels;
  };
  at::Tensor image_;  // [pixels]
  std::size_t most_;
  bool among_them_ = false;
  std::vector<Neighbour> nearest_;
};

// An affine space through an image: directions as rows [components, pixels] float64, orthonormal.
struct TangentSpace {
  at::Tensor axes;
  double variance = 0;  // of the neighbours, the share within it

  TangentSpace(const at::Tensor& neighbours, std::int64_t most) {
    const auto pixels = neighbours.to(at::kDouble);
    const auto [u, strengths, rows] = at::linalg_svd(pixels - pixels.mean(0, true), false);
    const double largest = strengths[0].item<double>();
    constexpr double kNothing = 1e-9;  // of the largest: float32 pixels tell no smaller one
    const auto real = largest > 0 ? (strengths > kNothing * largest).sum().item<std::int64_t>() : 0;
    const auto count = std::min(most, real);
    axes = rows.narrow(0, 0, count).contiguous();
    if (count > 0) variance = (strengths.narrow(0, 0, count).square().sum() / strengths.square().sum()).item<double>();
  }
  at::Tensor part_of(const at::Tensor& steps) const { return steps.matmul(axes.t()).matmul(axes); }  // [n, pixels]
};

class ManifoldAuditor {
 public:
  ManifoldAuditor(const recipe::Checkpoint& checkpoint, const ManifoldOptions& options, Reporter& reporter)
      : checkpoint_(checkpoint),
        options_(options),
        reporter_(reporter),
        images_(checkpoint, {options.input}, options.attacked.empty() ? options.unreadable : Unreadable::stop,
                reporter),
        clean_(checkpoint, {options.clean}, Unreadable::stop, reporter) {
    if (options.components >= options.neighbours)
      throw UsageError("--components " + std::to_string(options.components) + ": " +
                       counted(options.neighbours, "neighbours") + " about their mean have at most " +
                       counted(options.neighbours - 1, "directions") +
                       "; give fewer --components or more --neighbours");
    auto read = images_.files();
    std::ranges::move(clean_.files(), std::back_inserter(read));
    if (!options.attacked.empty()) {
      attacked_images_.emplace(checkpoint, std::vector{options.attacked}, Unreadable::stop, reporter);
      std::ranges::move(attacked_images_->files(), std::back_inserter(read));
    }
    InputFiles inputs(std::move(read));
    for (const auto& [option, path] : options.outputs) inputs.require_apart(option, path, path);
    check_counts();
  }

  ManifoldAudit run() {
    read_images();
    if (attacked_images_) read_attacked();
    PurifierSource source{checkpoint_, {}, options_.among};
    if (PurifierChain::fitted(options_.purifiers))
      source.clean = [&] { return CleanImages(checkpoint_, options_.clean, reporter_).all(); };
    purify_.emplace(options_.purifiers, source);
    const auto width = pixels_.size(1);
    const auto group = std::max<std::int64_t>(
        1, kMostNeighbourBytes / (options_.neighbours * width * static_cast<std::int64_t>(sizeof(float))));
    for (std::int64_t begin = 0; begin < count(); begin += group) {
      const auto end = std::min(begin + group, count());
      const auto nearest = neighbours_of(begin, end);
      for (std::int64_t i = begin; i < end; ++i) {
        audit(i, nearest[static_cast<std::size_t>(i - begin)]);
        reporter_.progress("images", static_cast<std::uint64_t>(i + 1), static_cast<std::uint64_t>(count()),
                           "purifying steps");
      }
      reporter_.progress_done();
    }
    images_.tell_unseen();
    clean_.tell_unseen();
    audit_.has_labels = images_.has_labels();
    audit_.clean = clean_.size();
    audit_.unreadable = images_.left_out();
    if (audit_.images.empty()) throw InputError(options_.input + ": no image is left to be audited");
    return std::move(audit_);
  }

 private:
  std::int64_t count() const { return std::ssize(read_); }

  void check_counts() const {
    if (clean_.size() < options_.neighbours)
      throw InputError(options_.clean + ": " + counted(clean_.size(), "images") + ", fewer than --neighbours " +
                       std::to_string(options_.neighbours) + "; give more clean images, or fewer --neighbours");
    const auto audited = std::min(options_.first, images_.size());
    if (attacked_images_ && attacked_images_->size() < audited)
      throw InputError(options_.attacked + ": " + counted(attacked_images_->size(), "images") + ", of which " +
                       std::to_string(audited) + " are audited in " + options_.input +
                       "; expected one for each of these, in their order; --first takes fewer");
  }

  // `what`: "--clean".
  void check_size(const NetworkImage& image, std::string_view what) const {
    if (image.network.sizes() == audit_.size) return;
    throw InputError((what.empty() ? "" : std::string(what) + " ") + image.id + ": " +
                     data::size_text({image.network.size(1), image.network.size(2)}) +
                     " network pixels, the first image to be audited has " +
                     data::size_text({audit_.size[1], audit_.size[2]}) +
                     "; distances are of images of one size, resize them");
  }

  void read_images() {
    std::vector<at::Tensor> rows;
    images_.for_each(0, std::min(options_.first, images_.size()), false, "reading",
                     [&](const std::vector<NetworkImage>& batch) {
                       for (const auto& image : batch) {
                         if (audit_.size.empty()) audit_.size = image.network.sizes().vec();
                         check_size(image, "");
                         rows.push_back(image.network.flatten());
                         read_.push_back({image.id, image.label, image.number});
                       }
                     });
    if (rows.empty()) throw InputError(options_.input + ": no image is left to be audited");
    pixels_ = torch::stack(rows);
    if (options_.components >= pixels_.size(1))
      throw UsageError("--components " + std::to_string(options_.components) + ": images of " +
                       counted(pixels_.size(1), "pixels") +
                       " then have no direction that is orthogonal to all of them; give fewer");
  }

  void read_attacked() {
    std::vector<at::Tensor> rows;
    attacked_images_->for_each(0, count(), false, "reading", [&](const std::vector<NetworkImage>& batch) {
      for (const auto& image : batch) {
        check_size(image, "--attacked");
        rows.push_back(image.network.flatten());
      }
    });
    attacked_ = torch::stack(rows);
    check_order();
  }

  // An attack moves an image less far than from one image to the next.
  void check_order() {
    constexpr std::int64_t kLooked = 200;
    const auto some = std::min(kLooked, count());
    const auto nearest =
        squared_distances(attacked_.narrow(0, 0, some).to(at::kDouble), pixels_.narrow(0, 0, some).to(at::kDouble))
            .argmin(1);
    const auto own = (nearest == torch::arange(some)).sum().item<std::int64_t>();
    if (2 * own < some)
      reporter_.warning(options_.attacked + ": only " + std::to_string(own) + " of " + std::to_string(some) +
                        " images are nearest to those at their place in " + options_.input +
                        "; they should be the same ones, in the same order");
  }

  std::vector<NearestImages> neighbours_of(std::int64_t begin, std::int64_t end) {
    std::vector<NearestImages> nearest;
    for (std::int64_t i = begin; i < end; ++i) nearest.emplace_back(pixels_[i], options_.neighbours);
    const auto audited = pixels_.narrow(0, begin, end - begin).to(at::kDouble);
    const auto own = audited.square().sum(1);
    clean_.for_each(0, clean_.size(), false, "looking for neighbours", [&](const std::vector<NetworkImage>& batch) {
      std::vector<at::Tensor> rows;
      for (const auto& image : batch) {
        check_size(image, "--clean");
        rows.push_back(image.network.flatten());
      }
      const auto pixels = torch::stack(rows), wide = pixels.to(at::kDouble);
      const auto distances = squared_distances(audited, wide).contiguous();
      const double largest = (own.max() + wide.square().sum(1).max()).item<double>();
      constexpr double kRounding = 1e-10;          // of a product of matrices, in units of what is added up
      std::vector<at::Tensor> kept(batch.size());  // one copy, whoever is its neighbour
      const auto* at = distances.data_ptr<double>();
      for (auto& image : nearest)
        for (std::size_t j = 0; j < batch.size(); ++j, ++at)
          if (image.may_take(*at, kRounding * largest))
            image.add(rows[j].data_ptr<float>(), [&] {
              if (!kept[j].defined()) kept[j] = rows[j].clone();
              return kept[j];
            });
    });
    for (std::int64_t i = begin; i < end; ++i) {
      const auto& found = nearest[static_cast<std::size_t>(i - begin)];
      if (static_cast<std::int64_t>(found.size()) < options_.neighbours)
        throw InputError(options_.clean + ": " + counted(found.size(), "images") + " besides those equal to " +
                         read_[static_cast<std::size_t>(i)].id + ", fewer than --neighbours " +
                         std::to_string(options_.neighbours) + "; give more clean images, or fewer --neighbours");
    }
    return nearest;
  }

  // What the purifiers make of images as rows [n, pixels], all drawing what the audited image of this number is given.
  at::Tensor purified(const at::Tensor& rows, std::int64_t number) const {
    std::vector<at::Tensor> images;
    for (const auto& row : rows.unbind(0)) images.push_back(row.reshape(audit_.size));
    const std::vector<std::int64_t> numbers(images.size(), number);
    ImageSet set(std::move(images), purify_->random() ? draw_keys(options_.seed, "purify", numbers, 0) : Keys{});
    return torch::stack((*purify_)(set)).flatten(1);
  }

  // Of steps [n, pixels] float64 from an image, float32, whose purified one is known. Their lengths are taken as they
  // are once the pixels are rounded.
  std::vector<double> gains(const at::Tensor& image, const at::Tensor& purified_image, const at::Tensor& steps,
                            std::int64_t number) const {
    const auto moved = (image.to(at::kDouble) + steps).to(at::kFloat);
    const auto there = (moved.to(at::kDouble) - image.to(at::kDouble)).norm(2, 1);
    const auto left = (purified(moved, number).to(at::kDouble) - purified_image.to(at::kDouble)).norm(2, 1);
    const auto shares = (left / there).contiguous();
    return {shares.data_ptr<double>(), shares.data_ptr<double>() + shares.numel()};
  }

  void audit(std::int64_t i, const NearestImages& nearest) {
    const auto& [id, label, number] = read_[static_cast<std::size_t>(i)];
    ManifoldImage figures;
    figures.id = id;
    figures.label = label;
    figures.nearest = nearest.nearest();
    figures.farthest = nearest.farthest();
    const TangentSpace tangent(nearest.all(), options_.components);
    if (tangent.axes.size(0) == 0)
      throw InputError(options_.clean + ": the nearest " + std::to_string(options_.neighbours) + " images of " + id +
                       " are all the same and span no tangent space; give more --neighbours");
    figures.components = tangent.axes.size(0);
    figures.variance = tangent.variance;
    const auto image = pixels_.narrow(0, i, 1);
    const auto purified_image = purified(image, number);
    bool finite = true;
    const auto noted = [&](double gain) {
      finite = finite && std::isfinite(gain);
      return gain;
    };
    const auto width = image.size(1);
    const auto at_once = std::clamp<std::int64_t>(kMostProbePixels / (2 * width), 1, kMostProbes / 2);
    for (std::int64_t first = 0; first < options_.directions; first += at_once) {
      throw_if_stopped("auditing");
      const auto some = std::min(at_once, options_.directions - first);
      auto normal = torch::empty({some, width});
      for (std::int64_t k = 0; k < some; ++k)
        fill_normal(stream_key(options_.seed, "manifold direction", static_cast<std::uint64_t>(number),
                               static_cast<std::uint64_t>(first + k)),
                    {normal[k].data_ptr<float>(), static_cast<std::size_t>(width)});
      const auto steps = normal.to(at::kDouble), within = tangent.part_of(steps);
      const auto both = torch::cat({within, steps - within});
      const auto found = gains(image, purified_image, options_.length * both / both.norm(2, 1, true), number);
      for (std::int64_t k = 0; k < some; ++k) {
        figures.tangent += noted(found[static_cast<std::size_t>(k)]);
        figures.orthogonal += noted(found[static_cast<std::size_t>(some + k)]);
      }
    }
    figures.tangent /= static_cast<double>(options_.directions);
    figures.orthogonal /= static_cast<double>(options_.directions);
    if (attacked_.defined()) {
      figures.attack = attack_parts(attacked_.narrow(0, i, 1), image, purified_image, tangent, number);
      if (figures.attack)
        for (const auto& gain : {figures.attack->tangent, figures.attack->orthogonal})
          if (gain) noted(*gain);
    }
    if (finite) {
      if (nearest.among_them()) ++audit_.copies;
      if (attacked_.defined() && !figures.attack) ++audit_.unchanged;
      audit_.images.push_back(std::move(figures));
    } else {
      images_.leave_out(InputError(id + ": what the purifier makes of it is no finite number; the model is not usable "
                                        "for such values"));
    }
  }

  std::optional<AttackParts> attack_parts(const at::Tensor& attacked, const at::Tensor& image,
                                          const at::Tensor& purified_image, const TangentSpace& tangent,
                                          std::int64_t number) const {
    const auto whole = attacked.to(at::kDouble) - image.to(at::kDouble);
    AttackParts parts;
    parts.length = whole.norm().item<double>();
    if (parts.length == 0) return {};
    const auto within = tangent.part_of(whole), outside = whole - within;
    const double inner = within.norm().item<double>(), outer = outside.norm().item<double>();
    parts.tangent_share = inner * inner / (parts.length * parts.length);
    const auto found = gains(image, purified_image, torch::cat({within, outside}), number);
    if (inner > kSmallestPart * parts.length) parts.tangent = found[0];
    if (outer > kSmallestPart * parts.length) parts.orthogonal = found[1];
    return parts;
  }

  struct ReadImage {
    std::string id, label;
    std::int64_t number = 0;
  };
  const recipe::Checkpoint& checkpoint_;
  const ManifoldOptions& options_;
  Reporter& reporter_;
  ImageBatches images_, clean_;
  std::optional<ImageBatches> attacked_images_;
  std::optional<PurifierChain> purify_;
  std::vector<ReadImage> read_;
  at::Tensor pixels_, attacked_;  // [audited, pixels] float32
  ManifoldAudit audit_;
};

// --- figures ---

constexpr int kManifoldResamples = 2000;

double median_of_all(std::vector<double> values) {
  std::ranges::sort(values);
  const auto half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

// `mean`: of rows of the values, by their numbers, which may come several times.
using MeanOfRows = std::function<double(std::span<const std::size_t> rows)>;
ManifoldFigure bootstrapped(std::size_t count, const MeanOfRows& mean, std::vector<double> each, std::uint64_t seed) {
  std::vector<std::size_t> rows(count);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  ManifoldFigure figure{mean(rows), {}, median_of_all(std::move(each)), static_cast<std::int64_t>(count)};
  if (count < 2) return figure;
  std::vector<double> means;
  for (int r = 0; r < kManifoldResamples; ++r) {
    Random random(stream_key(seed, "manifold bootstrap", static_cast<std::uint64_t>(r)));
    for (auto& row : rows) row = random.below(count);
    means.push_back(mean(rows));
  }
  std::ranges::sort(means);
  constexpr double kLevel = 0.95;
  const auto interval = evaluate::percentile_interval(means, kLevel);
  if (std::isfinite(interval.low) && std::isfinite(interval.high)) figure.interval = interval;
  return figure;
}

double mean_of_rows(std::span<const double> values, std::span<const std::size_t> rows) {
  double sum = 0;
  for (const auto row : rows) sum += values[row];
  return sum / static_cast<double>(rows.size());
}

ManifoldFigure figure_of(const std::vector<double>& values, std::uint64_t seed) {
  return bootstrapped(
      values.size(), [&](auto rows) { return mean_of_rows(values, rows); }, values, seed);
}

std::optional<ManifoldFigure> figure_of_some(const std::vector<double>& values, std::uint64_t seed) {
  return values.empty() ? std::nullopt : std::optional(figure_of(values, seed));
}

}  // namespace

ManifoldAudit audit_manifold(const recipe::Checkpoint& checkpoint, const ManifoldOptions& options, Reporter& reporter) {
  check_network(checkpoint, "ae-purify", "project images");
  return ManifoldAuditor(checkpoint, options, reporter).run();
}

ManifoldSummary summary_of(const ManifoldAudit& audit, std::uint64_t seed) {
  std::vector<double> tangent, orthogonal, ratios;
  std::vector<double> attack_tangent, attack_orthogonal, shares, lengths, differences;
  for (const auto& image : audit.images) {
    tangent.push_back(image.tangent);
    orthogonal.push_back(image.orthogonal);
    if (image.orthogonal > 0) ratios.push_back(image.tangent / image.orthogonal);
    if (!image.attack) continue;
    shares.push_back(image.attack->tangent_share);
    lengths.push_back(image.attack->length);
    if (image.attack->tangent) attack_tangent.push_back(*image.attack->tangent);
    if (!image.attack->orthogonal) continue;
    attack_orthogonal.push_back(*image.attack->orthogonal);
    differences.push_back(image.tangent - *image.attack->orthogonal);
  }
  ManifoldSummary summary;
  summary.tangent = figure_of(tangent, seed);
  summary.orthogonal = figure_of(orthogonal, seed);
  if (summary.orthogonal.mean > 0) {
    const auto ratio = [&](std::span<const std::size_t> rows) {
      const double below = mean_of_rows(orthogonal, rows);
      return below > 0 ? mean_of_rows(tangent, rows) / below : std::numeric_limits<double>::infinity();
    };
    summary.ratio = bootstrapped(tangent.size(), ratio, ratios, seed);
  }
  summary.attack_tangent = figure_of_some(attack_tangent, seed);
  summary.attack_orthogonal = figure_of_some(attack_orthogonal, seed);
  summary.tangent_share = figure_of_some(shares, seed);
  summary.attack_length = figure_of_some(lengths, seed);
  summary.predictor = figure_of_some(differences, seed);
  return summary;
}

}  // namespace ae::apply
