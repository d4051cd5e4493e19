#include "evaluate/pixel_roc.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/random.hpp"
#include "evaluate/intervals.hpp"

namespace ae::evaluate {
namespace {

// Whole numbers in the order of the floats.
std::uint32_t ordered_bits(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0f);  // -0 becomes 0
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

constexpr int kSliceBits = 16;  // what a slice leaves of a value's 32 bits

// Area under the per-region overlap up to `limit`, point by point in rising FPR.
class OverlapArea {
 public:
  explicit OverlapArea(double limit) : limit_(limit) {}
  void add(double fpr, double overlap) {
    if (fpr_ < limit_) {
      const double end = std::min(fpr, limit_);
      const double share = fpr > fpr_ ? (end - fpr_) / (fpr - fpr_) : 0;
      const double end_overlap = overlap_ + share * (overlap - overlap_);
      area_ += (end - fpr_) * (overlap_ + end_overlap) / 2;
    }
    fpr_ = fpr;
    overlap_ = overlap;
  }
  double normalised() const { return area_ / limit_; }

 private:
  double limit_;
  double fpr_ = 0;
  double overlap_ = 0;
  double area_ = 0;
};

double total(const std::vector<double>& counts) { return std::accumulate(counts.begin(), counts.end(), 0.0); }

// Union-find over provisional labels (Wu, Otoo, Suzuki 2009): the smallest label of a set is its root.
class LabelSets {
 public:
  std::uint32_t make() {
    parent_.push_back(static_cast<std::uint32_t>(parent_.size()));
    return parent_.back();
  }
  std::uint32_t root(std::uint32_t label) {
    while (parent_[label] != label) label = parent_[label] = parent_[parent_[label]];
    return label;
  }
  std::uint32_t join(std::uint32_t a, std::uint32_t b) {
    a = root(a);
    b = root(b);
    return parent_[std::max(a, b)] = std::min(a, b);
  }
  std::size_t size() const { return parent_.size(); }

 private:
  std::vector<std::uint32_t> parent_;
};

}  // namespace

DefectRegions find_defect_regions(const DefectMask& mask) {
  constexpr std::uint32_t none = ~0u;
  const auto width = static_cast<std::size_t>(mask.width);
  LabelSets sets;
  std::vector<std::uint32_t> labels(mask.defect.size(), none);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!mask.defect[i]) continue;
    const std::size_t x = i % width;
    std::uint32_t label = none;
    const auto meet = [&](std::size_t neighbour) {
      if (labels[neighbour] == none) return;
      label = label == none ? sets.root(labels[neighbour]) : sets.join(label, labels[neighbour]);
    };
    if (x > 0) meet(i - 1);
    if (i >= width) {
      if (x > 0) meet(i - width - 1);
      meet(i - width);
      if (x + 1 < width) meet(i - width + 1);
    }
    labels[i] = label == none ? sets.make() : label;
  }
  std::vector<std::int64_t> sizes(sets.size());
  for (auto& label : labels)
    if (label != none) ++sizes[label = sets.root(label)];
  DefectRegions result;
  result.count = std::count_if(sizes.begin(), sizes.end(), [](std::int64_t size) { return size > 0; });
  result.weight.resize(labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] != none) result.weight[i] = 1 / static_cast<float>(sizes[labels[i]]);
  return result;
}

void PixelSurvey::add(const ImagePixels& image) {
  for (std::size_t i = 0; i < image.values.size(); ++i) {
    const bool defect = !image.defect.empty() && image.defect[i];
    ++(defect ? defect_ : normal_)[ordered_bits(image.values[i]) >> kSliceBits];
  }
}

PixelBins::PixelBins(const PixelSurvey& survey, std::size_t wanted) : slices_(PixelSurvey::slices) {
  const auto sum = [](const std::vector<std::int64_t>& counts) {
    return static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{}));
  };
  const double normals = sum(survey.normal());
  const double defects = sum(survey.defect());
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < slices_.size(); ++i) {
    const auto normal = static_cast<double>(survey.normal()[i]);
    const auto defect = static_cast<double>(survey.defect()[i]);
    if (normal + defect == 0) continue;
    const double share = defects == 0   ? normal / normals
                         : normals == 0 ? defect / defects
                                        : (normal / normals + defect / defects) / 2;
    const double bins = std::max(1.0, share * static_cast<double>(wanted));
    const int bits = std::min(kSliceBits, static_cast<int>(std::ceil(std::log2(bins))));
    slices_[i] = {next, static_cast<std::uint32_t>(kSliceBits - bits)};
    next += 1u << bits;
  }
  size_ = next;
}

std::uint32_t PixelBins::of(float value) const {
  const std::uint32_t bits = ordered_bits(value);
  const Slice& slice = slices_[bits >> kSliceBits];
  return slice.first + ((bits & 0xffffu) >> slice.shift);
}

void PixelCounts::add(const PixelBins& bins, const ImagePixels& image) {
  for (std::size_t i = 0; i < image.values.size(); ++i) {
    const std::uint32_t bin = bins.of(image.values[i]);
    if (!image.defect.empty() && image.defect[i]) {
      ++defect[bin];
      region[bin] += static_cast<double>(image.weight[i]);
    } else {
      ++normal[bin];
    }
  }
  ++images;
  regions += image.regions;
}

void PixelCounts::add(const PixelCounts& other) {
  for (std::size_t i = 0; i < normal.size(); ++i) {
    normal[i] += other.normal[i];
    defect[i] += other.defect[i];
    region[i] += other.region[i];
  }
  images += other.images;
  regions += other.regions;
}

std::optional<PixelRates> pixel_rates(const PixelCounts& counts) {
  const double normals = total(counts.normal);
  const double defects = total(counts.defect);
  const double weights = total(counts.region);
  if (normals == 0 || defects == 0) return std::nullopt;
  PixelRates rates;
  rates.images = counts.images;
  rates.regions = counts.regions;
  rates.normal_pixels = static_cast<std::int64_t>(normals);
  rates.defect_pixels = static_cast<std::int64_t>(defects);
  OverlapArea wide(0.3);
  OverlapArea narrow(0.05);
  double fp = 0;
  double tp = 0;
  double overlap = 0;
  for (std::size_t i = counts.normal.size(); i-- > 0;) {
    const double normal = counts.normal[i];
    const double defect = counts.defect[i];
    if (normal == 0 && defect == 0) continue;
    rates.auroc += normal * (tp + defect / 2);
    tp += defect;
    fp += normal;
    overlap += counts.region[i];
    rates.average_precision += defect * (tp / (tp + fp));
    wide.add(fp / normals, overlap / weights);
    narrow.add(fp / normals, overlap / weights);
  }
  rates.auroc /= normals * defects;
  rates.average_precision /= defects;
  rates.aupro_30 = wide.normalised();
  rates.aupro_05 = narrow.normalised();
  return rates;
}

// --- bootstrap -------------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t kJoinedBins = 2048;

// By inversion: P(0) = P(1) = 1/e.
int poisson_of_mean_1(double uniform) {
  double probability = std::exp(-1.0);
  int count = 0;
  for (double below = probability; uniform >= below && count < 20; below += probability) probability /= ++count;
  return count;
}

}  // namespace

PixelBootstrap::PixelBootstrap(const PixelBins& bins, const PixelCounts& all, std::int64_t resamples,
                               std::uint64_t seed)
    : bins_(bins), joined_(bins.size()), seed_(seed) {
  const auto exact = pixel_rates(all);
  if (!exact || resamples <= 0) return;
  exact_ = *exact;
  // Bins of about equal shares of the defect and of the normal pixels together; a share is as large as its largest bin.
  const double normals = total(all.normal);
  const double defects = total(all.defect);
  double share = 0;
  std::uint32_t joined = 0;
  for (std::size_t i = 0; i < joined_.size(); ++i) {
    joined_[i] = joined;
    share += (all.normal[i] / normals + all.defect[i] / defects) / 2;
    if (share * kJoinedBins >= joined + 1) ++joined;
  }
  width_ = joined + 1;
  own_ = PixelCounts(width_);
  image_ = PixelCounts(width_);
  resamples_.assign(static_cast<std::size_t>(resamples), PixelCounts(width_));
}

void PixelBootstrap::add(const ImagePixels& image) {
  if (resamples_.empty()) return;
  bool defective = false;
  for (std::size_t i = 0; i < image.values.size(); ++i) {
    const std::uint32_t bin = joined_[bins_.of(image.values[i])];
    if (!image.defect.empty() && image.defect[i]) {
      ++image_.defect[bin];
      image_.region[bin] += static_cast<double>(image.weight[i]);
      defective = true;
    } else {
      ++image_.normal[bin];
    }
  }
  defective_ += defective;
  own_.add(image_);
  Random random(stream_key(seed_, "images", images_++));
  for (auto& resample : resamples_) {
    const int times = poisson_of_mean_1(random.uniform());
    if (times == 0) continue;
    for (std::size_t bin = 0; bin < width_; ++bin) resample.normal[bin] += times * image_.normal[bin];
    if (!defective) continue;
    for (std::size_t bin = 0; bin < width_; ++bin) {
      resample.defect[bin] += times * image_.defect[bin];
      resample.region[bin] += times * image_.region[bin];
    }
  }
  for (auto* counts : {&image_.normal, &image_.defect, &image_.region}) std::fill(counts->begin(), counts->end(), 0.0);
}

std::optional<PixelIntervals> PixelBootstrap::intervals(double confidence) const {
  const auto joined = resamples_.empty() ? std::nullopt : pixel_rates(own_);
  if (!joined || defective_ < 2) return std::nullopt;
  std::vector<PixelRates> rates;
  for (const auto& resample : resamples_)
    if (const auto one = pixel_rates(resample)) rates.push_back(*one);
  PixelIntervals result;
  result.resamples = static_cast<std::int64_t>(rates.size());
  if (rates.size() < 2) return std::nullopt;
  // What joining bins did to the value is taken off again.
  const auto interval = [&](double PixelRates::*figure) {
    std::vector<double> values;
    for (const auto& one : rates) values.push_back(one.*figure + exact_.*figure - (*joined).*figure);
    std::sort(values.begin(), values.end());
    const Interval central = percentile_interval(values, confidence);
    return Interval{std::clamp(central.low, 0.0, 1.0), std::clamp(central.high, 0.0, 1.0)};
  };
  result.auroc = interval(&PixelRates::auroc);
  result.average_precision = interval(&PixelRates::average_precision);
  result.aupro_30 = interval(&PixelRates::aupro_30);
  result.aupro_05 = interval(&PixelRates::aupro_05);
  return result;
}

}  // namespace ae::evaluate
