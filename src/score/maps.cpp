#include "score/maps.hpp"

#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <iterator>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/core/utility.hpp>
#include <opencv2/imgproc.hpp>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "evaluate/roc.hpp"
#include "score/pace.hpp"
#include "score/tiles.hpp"
#include "stats/value_histogram.hpp"

namespace ae::score {
namespace {

using Kind = MapHead::Kind;

constexpr std::array<config::Choice, 5> kMapKinds{{
    {"auto", "the one that finds synthetic defects on held-out good images best"},
    {"abs", "absolute error"},
    {"squared", "squared error"},
    {"ssim", "1 - structural similarity"},
    {"fused", "squared error plus 1 - structural similarity, each relative to its mean on held-out good images"},
}};
constexpr std::array<Kind, 4> kEveryKind{Kind::absolute, Kind::squared, Kind::ssim, Kind::fused};
std::string_view name_of(Kind kind) { return kMapKinds[1 + static_cast<std::size_t>(kind)].name; }

constexpr std::array<config::Choice, 4> kNormalizations{{
    {"auto", "by position when all held-out images have one size, else by all pixels"},
    {"position", "by the held-out good images at the same position; needs images of one size"},
    {"global", "by all pixels of the held-out good images"},
    {"none", "not at all"},
}};

constexpr std::array<config::Choice, 3> kReductions{{
    {"top", "mean of the largest values, as many as the fraction says"},
    {"max", "largest value"},
    {"mean", "mean"},
}};

// Tiles that are answered together: enough for many threads, which take them in smaller pieces.
constexpr std::int64_t kBatchPixels = 1 << 21;
// A held-out position is believed as if so many more images had shown the spread of all positions: a position that
// never varied is not infinitely surprising.
constexpr double kPriorImages = 10;
// Images that get synthetic defects to choose a kind: both classes then fix an AUROC to about two points.
constexpr std::int64_t kTrialImages = 256;
constexpr std::int64_t kKeptFloats = std::int64_t{1} << 26;

// Tails of the good pixels' distribution that are kept: 1, 10^(-1/32), ... 10^-6, and 0.
constexpr int kTailSteps = 6 * 32;
double tail_of(std::size_t step) { return step > kTailSteps ? 0.0 : std::pow(10.0, -static_cast<double>(step) / 32); }

cv::Mat mat_of(const at::Tensor& plane) {
  return cv::Mat(static_cast<int>(plane.size(0)), static_cast<int>(plane.size(1)), CV_32F, plane.data_ptr<float>());
}

// Without so many pixels along each side.
at::Tensor inside(const at::Tensor& plane, std::int64_t edge) {
  return plane.narrow(0, edge, plane.size(0) - 2 * edge).narrow(1, edge, plane.size(1) - 2 * edge);
}

std::span<const float> values_of(const at::Tensor& plane) {
  return {plane.data_ptr<float>(), static_cast<std::size_t>(plane.numel())};
}

// 1 - SSIM of one channel, moments weighted by the window inside the image. OpenCV's separable filter costs twice the
// window's side a pixel, the products with bands of loss::ssim_factors() both sides of the image; their last bits
// differ, and stored models are calibrated with these.
void add_ssim(const cv::Mat& x, const cv::Mat& y, const cv::Mat& window, const cv::Mat& inside,
              const loss::SsimConstants& constants, cv::Mat& sum) {
  const auto [c1, c2] = constants;
  const auto filtered = [&](const cv::Mat& plane) {
    cv::Mat answer;
    cv::sepFilter2D(plane, answer, CV_32F, window, window, {-1, -1}, 0, cv::BORDER_CONSTANT);
    return cv::Mat(answer / inside);
  };
  const cv::Mat mean_x = filtered(x), mean_y = filtered(y);
  const cv::Mat squares = filtered(x.mul(x) + y.mul(y)), products = filtered(x.mul(y));
  for (int i = 0; i < sum.rows; ++i) {
    const float *mx = mean_x.ptr<float>(i), *my = mean_y.ptr<float>(i);
    const float *ss = squares.ptr<float>(i), *xy = products.ptr<float>(i);
    auto* out = sum.ptr<float>(i);
    for (int j = 0; j < sum.cols; ++j) {
      const double product = static_cast<double>(mx[j]) * my[j];
      const double means = static_cast<double>(mx[j]) * mx[j] + static_cast<double>(my[j]) * my[j];
      const double luminance = (2 * product + c1) / (means + c1);
      const double structure = (2 * (xy[j] - product) + c2) / (std::max(0.0, ss[j] - means) + c2);
      out[j] += static_cast<float>(std::max(0.0, 1 - luminance * structure));
    }
  }
}

data::NamedArray array_of(const at::Tensor& plane) {
  const auto dense = plane.to(torch::kFloat32).contiguous();
  return data::NamedArray::of(data::Dtype::f32, dense.sizes().vec(), dense.data_ptr<float>(),
                              static_cast<std::size_t>(dense.numel()));
}
data::NamedArray array_of(const std::vector<double>& values) {
  return data::NamedArray::of(data::Dtype::f64, {static_cast<std::int64_t>(values.size())}, values.data(),
                              values.size());
}

const data::NamedArray* find(const Arrays& arrays, const std::string& name, data::Dtype dtype, std::size_t dims) {
  const auto found = arrays.find(name);
  if (found == arrays.end()) return nullptr;
  if (found->second.dtype != dtype || found->second.shape.size() != dims) {
    throw InputError("head." + name + ": wrong type or shape; the file is damaged");
  }
  return &found->second;
}

std::vector<double> doubles_of(const Arrays& arrays, const std::string& name) {
  const auto* array = find(arrays, name, data::Dtype::f64, 1);
  if (array == nullptr) return {};
  std::vector<double> values(array->bytes.size() / sizeof(double));
  std::memcpy(values.data(), array->bytes.data(), array->bytes.size());
  return values;
}

at::Tensor plane_of(const Arrays& arrays, const std::string& name) {
  const auto* array = find(arrays, name, data::Dtype::f32, 2);
  if (array == nullptr) return {};
  auto plane = torch::empty(array->shape, torch::kFloat32);
  std::memcpy(plane.data_ptr(), array->bytes.data(), array->bytes.size());
  return plane;
}

}  // namespace

void cut_tile(const at::Tensor& image, const data::Placement& at, data::Size size, const at::Tensor& values,
              const at::Tensor& observed) {
  const auto height = std::min(size.height, image.size(1) - at.y);
  const auto width = std::min(size.width, image.size(2) - at.x);
  auto part = image.narrow(1, at.y, height).narrow(2, at.x, width);
  if (height == size.height && width == size.width) {
    values.copy_(part);
    observed.fill_(1);
    return;
  }
  const auto rows = torch::arange(size.height).clamp_max(height - 1);
  const auto columns = torch::arange(size.width).clamp_max(width - 1);
  values.copy_(part.index_select(1, rows).index_select(2, columns));
  observed.zero_();
  observed.narrow(1, 0, height).narrow(2, 0, width).fill_(1);
}

at::Tensor to_tensor(const data::ImageView& image) {
  const auto values = data::to_floats(image);
  return torch::from_blob(const_cast<float*>(values.data()), {image.channels, image.height, image.width},
                          torch::kFloat32)
      .clone();
}

// --- Reconstructor ---------------------------------------------------------------------------------------------------

std::vector<at::Tensor> Reconstructor::operator()(std::span<const at::Tensor> images) const {
  struct Tile {
    std::size_t image;
    data::Placement place;
  };
  std::vector<at::Tensor> answers;
  std::vector<Tile> waiting;
  data::Size size;
  const auto answer = [&] {
    if (waiting.empty()) return;
    const auto count = static_cast<std::int64_t>(waiting.size());
    auto values = torch::empty({count, images[0].size(0), size.height, size.width}, torch::kFloat32);
    auto observed = torch::empty_like(values);
    for (std::int64_t t = 0; t < count; ++t) {
      const Tile& tile = waiting[static_cast<std::size_t>(t)];
      cut_tile(images[tile.image], tile.place, size, values[t], observed[t]);
    }
    const auto expected = autoencoder_.expected({values, observed});
    for (std::int64_t t = 0; t < count; ++t) {
      const Tile& tile = waiting[static_cast<std::size_t>(t)];
      const data::Box& keep = tile.place.keep;
      answers[tile.image]
          .narrow(1, keep.y, keep.height)
          .narrow(2, keep.x, keep.width)
          .copy_(
              expected[t].narrow(1, keep.y - tile.place.y, keep.height).narrow(2, keep.x - tile.place.x, keep.width));
    }
    waiting.clear();
  };
  for (std::size_t i = 0; i < images.size(); ++i) {
    const data::Size network{images[i].size(1), images[i].size(2)};
    answers.push_back(torch::empty_like(images[i]));
    const auto tile_size = geometry_.tile_size(network);
    if (!(tile_size == size)) answer();
    size = tile_size;
    for (const auto& place : geometry_.tiles(network)) {
      waiting.push_back({i, place});
      if (static_cast<std::int64_t>(waiting.size()) * size.height * size.width >= kBatchPixels) answer();
    }
  }
  answer();
  return answers;
}

// --- Configuration ---------------------------------------------------------------------------------------------------

void MapHead::fields(config::Fields& f) {
  f.choice("kind", kind, kMapKinds, "What the error of a pixel is.");
  f.number("sigma", sigma, {0, 64}, "Gaussian smoothing of the maps, in network pixels.");
  f.number("wide_sigma", wide_sigma, {0, 64},
           "Smoothing of a second map that is added to the first, for large and faint defects; 0: none.");
  f.number("relative", relative, {0, 1e3},
           "Divides an image's map by 1 plus this times the image's mean error, told in mean errors of held-out good "
           "images: defects are then those of this image, whatever the product; 0: not at all.");
  f.number("image_sigma", image_sigma, {0, 64}, "Gaussian smoothing of the map that the image's score is taken from.");
  f.integer("border", border, {0, 4096},
            "Network pixels along the image's border that are 0 in maps and do not count in the score; never more than "
            "an eighth of a side.");
  f.choice("normalize", normalize, kNormalizations, "How errors are standardised.");
  f.choice("reduction", reduction, kReductions, "How the score of an image follows from its map.");
  f.number("fraction", fraction, {0, 1, true}, "Share of the pixels that \"top\" takes the mean of.");
  ssim_window.fields(f, "ssim_window", "ssim_sigma");
  ssim_constants.fields(f, ", ten times the loss's default: noise, which no network reconstructs, is no defect");
}

void MapHead::check(std::vector<config::Problem>& problems) const { ssim_window.check(problems, "ssim_window"); }

std::string_view MapHead::kind_name() const { return name_of(chosen_); }

// --- Maps ------------------------------------------------------------------------------------------------------------

at::Tensor MapHead::error_map(Kind which, const at::Tensor& image, const at::Tensor& reconstruction) const {
  if (which == Kind::fused) {
    return error_map(Kind::squared, image, reconstruction) / good_level(Kind::squared) +
           error_map(Kind::ssim, image, reconstruction) / good_level(Kind::ssim);
  }
  auto sum = torch::zeros({image.size(1), image.size(2)}, torch::kFloat32);
  auto out = mat_of(sum);
  const auto channels = image.size(0);
  cv::Mat window, inside;
  if (which == Kind::ssim) {
    window = cv::getGaussianKernel(static_cast<int>(ssim_window.side), ssim_window.sigma, CV_32F);
    cv::sepFilter2D(cv::Mat::ones(out.size(), CV_32F), inside, CV_32F, window, window, {-1, -1}, 0,
                    cv::BORDER_CONSTANT);
  }
  for (std::int64_t c = 0; c < channels; ++c) {
    const auto plane_x = image[c].contiguous(), plane_y = reconstruction[c].contiguous();
    const auto x = mat_of(plane_x), y = mat_of(plane_y);
    if (which == Kind::ssim) {
      add_ssim(x, y, window, inside, ssim_constants, out);
      continue;
    }
    cv::Mat difference;
    cv::absdiff(x, y, difference);
    if (which == Kind::squared) difference = difference.mul(difference);
    out += difference;
  }
  if (channels > 1) out /= static_cast<double>(channels);
  return sum;
}

std::int64_t MapHead::border_of(const at::Tensor& map) const {
  return std::min(border, std::min(map.size(0), map.size(1)) / 8);
}

// The border is left out before smoothing, so that its large errors do not leak into the image.
at::Tensor MapHead::smooth(const at::Tensor& map, double width) const {
  const auto edge = static_cast<int>(border_of(map));
  auto answer = torch::zeros_like(map);
  const cv::Rect inner(edge, edge, static_cast<int>(map.size(1)) - 2 * edge, static_cast<int>(map.size(0)) - 2 * edge);
  // A copy: filters look beyond a region of interest into the rest of the image.
  const cv::Mat source = mat_of(map)(inner).clone();
  cv::Mat target = mat_of(answer)(inner);
  if (width > 0) {
    cv::GaussianBlur(source, target, {}, width, width, cv::BORDER_REFLECT);
  } else {
    source.copyTo(target);
  }
  return answer;
}

double MapHead::good_level(Kind kind) const {
  return kind == Kind::fused ? 2 : levels_[static_cast<std::size_t>(kind)];
}

double MapHead::mean_inside(const at::Tensor& map) const {
  return inside(map, border_of(map)).mean(torch::kFloat64).item<double>();
}

at::Tensor MapHead::pixel_errors(Kind which, const at::Tensor& error) const {
  auto smoothed = smooth(error, sigma);
  if (wide_sigma > 0) smoothed += smooth(error, wide_sigma);
  if (relative > 0) smoothed /= 1 + relative * mean_inside(error) / good_level(which);
  return smoothed;
}

at::Tensor MapHead::normalized(const at::Tensor& map, const Normalizer& normalizer) const {
  auto answer = torch::zeros_like(map);
  const auto edge = border_of(map);
  const auto inner = [&](const at::Tensor& plane) { return inside(plane, edge); };
  if (normalizer.mean.defined() && normalizer.mean.sizes() == map.sizes()) {
    inner(answer).copy_((inner(map) - inner(normalizer.mean)) / inner(normalizer.deviation));
  } else {
    inner(answer).copy_((inner(map) - normalizer.all_mean) / normalizer.all_deviation);
  }
  return answer;
}

bool MapHead::knows_positions_of(data::Size network) const {
  return by_position() && pixel_.mean.size(0) == network.height && pixel_.mean.size(1) == network.width;
}

double MapHead::reduce(const at::Tensor& map) const {
  const auto inner = inside(map, border_of(map)).contiguous();
  const auto values = values_of(inner);
  if (reduction == "max") return *std::max_element(values.begin(), values.end());
  std::vector<float> chosen(values.begin(), values.end());
  auto count = chosen.size();
  if (reduction == "top") {
    count =
        std::clamp<std::size_t>(static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(count))), 1, count);
    std::nth_element(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(count - 1), chosen.end(),
                     std::greater<>());
  }
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += chosen[i];
  return sum / static_cast<double>(count);
}

MapHead::Answer MapHead::answer(const at::Tensor& image, const at::Tensor& reconstruction) const {
  const auto error = error_map(chosen_, image, reconstruction);
  return {normalized(pixel_errors(chosen_, error), pixel_), reduce(normalized(smooth(error, image_sigma), image_))};
}

std::vector<double> MapHead::calibrate(const FitContext& context) {
  if (context.good_images == nullptr) throw std::logic_error("a map head is calibrated with whole images");
  const torch::NoGradGuard no_grad;
  const Reconstructor reconstruct(context.autoencoder, context.good_images->geometry);
  return calibrate(reconstruct, *context.good_images, context.reporter);
}

// --- Calibration -----------------------------------------------------------------------------------------------------

// Sums of one smoothed error map over the held-out images, and what they say without one of them.
struct MapHead::Moments {
  std::int64_t images = 0;
  at::Tensor sum;      // [height, width] float64; undefined when sizes differ
  at::Tensor squares;  // of squares
  double all_sum = 0;
  double all_squares = 0;
  double pixels = 0;
  bool one_size = true;

  void add(const at::Tensor& map, std::int64_t edge) {
    const auto exact = map.to(torch::kFloat64);
    ++images;
    pixels += static_cast<double>(inside(map, edge).numel());
    all_sum += exact.sum().item<double>();  // the border is 0
    all_squares += exact.square().sum().item<double>();
    if (images > 1 && one_size && sum.sizes() != map.sizes()) one_size = false;
    if (!one_size) {
      sum = squares = at::Tensor();
      return;
    }
    sum = sum.defined() ? sum + exact : exact;
    squares = squares.defined() ? squares + exact.square() : exact.square();
  }

  // Of all images, or of all but the one whose map is `without`.
  Normalizer normalizer(bool by_position, const at::Tensor& without, std::int64_t edge) const {
    double n = static_cast<double>(images), count = pixels, total = all_sum, total_squares = all_squares;
    at::Tensor exact;
    if (without.defined() && images > 1) {
      exact = without.to(torch::kFloat64);
      n -= 1;
      count -= static_cast<double>(inside(without, edge).numel());
      total -= exact.sum().item<double>();
      total_squares -= exact.square().sum().item<double>();
    }
    const double mean = total / std::max(1.0, count);
    const double variance = std::max(total_squares / std::max(1.0, count) - mean * mean, 1e-24);
    if (!by_position) return {mean, std::sqrt(variance), {}, {}};
    const auto sums = exact.defined() ? sum - exact : sum;
    const auto square_sums = exact.defined() ? squares - exact.square() : squares;
    const auto means = sums / n;
    const auto spread = (square_sums / n - means.square()).clamp_min(0);
    const double weight = n / (n + kPriorImages);
    return {mean, std::sqrt(variance), (weight * means + (1 - weight) * mean).to(torch::kFloat32).contiguous(),
            (weight * spread + (1 - weight) * variance).sqrt().to(torch::kFloat32).contiguous()};
  }
};

namespace {

struct Pair {
  at::Tensor image;
  at::Tensor reconstruction;
};

// Images with their reconstructions, several times over; they are kept when all of them have at most so many floats.
class Pairs {
 public:
  Pairs(const Reconstructor& reconstruct, std::int64_t count, std::function<at::Tensor(std::int64_t)> load,
        std::int64_t most_kept, Reporter& reporter)
      : reconstruct_(reconstruct), count_(count), load_(std::move(load)), most_kept_(most_kept), reporter_(reporter) {}
  void for_each(const std::function<void(std::int64_t, const Pair&)>& visit_one) {
    Pace pace(reporter_, "images", count_, "calibrating");
    const auto visit = [&](std::int64_t i, const Pair& pair) {
      visit_one(i, pair);
      pace.advance(1);
    };
    if (!kept_.empty()) {
      for (std::size_t i = 0; i < kept_.size(); ++i) visit(static_cast<std::int64_t>(i), kept_[i]);
      return;
    }
    std::vector<Pair> keep;
    std::int64_t floats = 0;
    bool keeps = true;
    std::vector<at::Tensor> images;
    std::int64_t pixels = 0, first = 0;
    const auto flush = [&] {
      throw_if_stopped("calibrating");
      const auto answers = reconstruct_(images);
      for (std::size_t i = 0; i < images.size(); ++i) {
        const Pair pair{images[i], answers[i]};
        visit(first + static_cast<std::int64_t>(i), pair);
        // Images mostly have one size: the first one tells that all are too many, before any memory is spent on them.
        floats += 2 * pair.image.numel();
        keeps = keeps && floats <= most_kept_ && (first > 0 || i > 0 || count_ <= most_kept_ / floats);
        if (keeps) {
          keep.push_back(pair);
        } else {
          keep.clear();
        }
      }
      first += static_cast<std::int64_t>(images.size());
      images.clear();
      pixels = 0;
    };
    for (std::int64_t i = 0; i < count_; ++i) {
      images.push_back(load_(i));
      pixels += images.back().size(1) * images.back().size(2);
      if (pixels >= kBatchPixels) flush();
    }
    if (!images.empty()) flush();
    kept_ = std::move(keep);
  }

 private:
  const Reconstructor& reconstruct_;
  std::int64_t count_;
  std::function<at::Tensor(std::int64_t)> load_;
  std::int64_t most_kept_;
  Reporter& reporter_;
  std::vector<Pair> kept_;
};

}  // namespace

// One calibration: jobs in the order they are declared, each a pass or two over held-out good images.
class MapHead::Calibration {
 public:
  Calibration(MapHead& head, std::span<const Kind> kinds, const Reconstructor& reconstruct, const GoodImages& images,
              Reporter& reporter)
      : head_(head),
        reconstruct_(reconstruct),
        images_(images),
        reporter_(reporter),
        good_(reconstruct, images.count, images.load, kKeptFloats, reporter) {
    for (const auto kind : kinds) candidates_.push_back({kind, {}, {}});
  }
  void learn_levels();
  void learn_moments();
  void choose_kind();                 // by synthetic defects
  std::vector<double> learn_tails();  // returns the scores of the images

 private:
  // A kind of error and what it is like on good images.
  struct Candidate {
    Kind kind;
    Moments pixel;
    Moments image;
  };
  struct Smoothed {
    at::Tensor pixel;  // as maps show it
    at::Tensor image;  // as scores are taken from it
  };
  // What one candidate says of good images and damaged ones.
  struct Trial {
    std::vector<double> good, bad;
    stats::ValueHistogram good_pixels, bad_pixels;
  };

  std::array<bool, 3> needed_levels() const;
  Smoothed errors(Kind kind, const Pair& pair) const;
  // Of all good images, or of all but the one whose map is `without`.
  Normalizer normalizer(const Moments& moments, const at::Tensor& without = {}) const;
  // At most kTrialImages, evenly over the held-out images: their order has a meaning.
  std::int64_t trials() const { return std::min(kTrialImages, images_.count); }
  std::int64_t trial_image(std::int64_t trial) const { return trial * images_.count / trials(); }
  void try_good(std::vector<Trial>& trials);
  void try_damaged(std::vector<Trial>& trials);
  void elect(const std::vector<Trial>& trials);

  MapHead& head_;
  const Reconstructor& reconstruct_;
  const GoodImages& images_;
  Reporter& reporter_;
  Pairs good_;
  std::vector<Candidate> candidates_;
  bool by_position_ = false;
};

std::array<bool, 3> MapHead::Calibration::needed_levels() const {
  std::array<bool, 3> needed{};
  const auto need = [&](Kind kind) { needed[static_cast<std::size_t>(kind)] = true; };
  for (const auto& candidate : candidates_) {
    if (candidate.kind == Kind::fused) {
      need(Kind::squared);
      need(Kind::ssim);
    } else if (head_.relative > 0) {
      need(candidate.kind);
    }
  }
  return needed;
}

// They come first: fused and relative errors are told in them.
void MapHead::Calibration::learn_levels() {
  const auto needed = needed_levels();
  if (needed == decltype(needed){}) return;
  std::array<double, 3> sums{};
  good_.for_each([&](std::int64_t, const Pair& pair) {
    for (std::size_t i = 0; i < needed.size(); ++i) {
      if (!needed[i]) continue;
      sums[i] += head_.mean_inside(head_.error_map(kEveryKind[i], pair.image, pair.reconstruction));
    }
  });
  for (std::size_t i = 0; i < needed.size(); ++i) {
    if (needed[i]) head_.levels_[i] = std::max(sums[i] / static_cast<double>(images_.count), 1e-12);
  }
}

MapHead::Calibration::Smoothed MapHead::Calibration::errors(Kind kind, const Pair& pair) const {
  const auto error = head_.error_map(kind, pair.image, pair.reconstruction);
  return {head_.pixel_errors(kind, error), head_.smooth(error, head_.image_sigma)};
}

void MapHead::Calibration::learn_moments() {
  good_.for_each([&](std::int64_t, const Pair& pair) {
    for (auto& candidate : candidates_) {
      const auto error = errors(candidate.kind, pair);
      candidate.pixel.add(error.pixel, head_.border_of(error.pixel));
      candidate.image.add(error.image, head_.border_of(error.image));
    }
  });
  const bool one_size = candidates_.front().pixel.one_size;
  if (head_.normalize == "position" && !one_size) {
    throw UsageError(
        "/score/normalize: found images of different sizes, which have no common positions; use \"auto\" "
        "or \"global\", or resize to one size");
  }
  by_position_ = head_.normalize == "position" || (head_.normalize == "auto" && one_size && images_.count > 1);
}

MapHead::Normalizer MapHead::Calibration::normalizer(const Moments& moments, const at::Tensor& without) const {
  if (head_.normalize == "none") return {};
  return moments.normalizer(by_position_, without, without.defined() ? head_.border_of(without) : 0);
}

void MapHead::Calibration::choose_kind() {
  if (candidates_.size() == 1 || !images_.damaged) return;
  std::vector<Trial> trials(candidates_.size());
  try_good(trials);
  try_damaged(trials);
  elect(trials);
}

void MapHead::Calibration::try_good(std::vector<Trial>& trials) {
  std::int64_t next = 0;
  good_.for_each([&](std::int64_t i, const Pair& pair) {
    if (next >= this->trials() || i != trial_image(next)) return;
    ++next;
    for (std::size_t c = 0; c < candidates_.size(); ++c) {
      const auto& candidate = candidates_[c];
      const auto error = errors(candidate.kind, pair);
      const auto image = head_.normalized(error.image, normalizer(candidate.image, error.image));
      trials[c].good.push_back(head_.reduce(image));
      trials[c].good_pixels.add(values_of(head_.normalized(error.pixel, normalizer(candidate.pixel, error.pixel))));
    }
  });
}

void MapHead::Calibration::try_damaged(std::vector<Trial>& trials) {
  std::deque<at::Tensor> masks;  // of the images that wait for their reconstruction
  const auto damage = [&](std::int64_t trial) {
    const auto i = trial_image(trial);
    auto damaged = images_.damaged(images_.load(i), i);
    masks.push_back(std::move(damaged.mask));
    return damaged.image;
  };
  std::vector<Normalizer> of_pixels, of_images;
  for (const auto& candidate : candidates_) {
    of_pixels.push_back(normalizer(candidate.pixel));
    of_images.push_back(normalizer(candidate.image));
  }
  Pairs(reconstruct_, this->trials(), damage, 0, reporter_).for_each([&](std::int64_t, const Pair& pair) {
    const auto mask = masks.front();
    masks.pop_front();
    if (mask.max().item<float>() <= 0) return;
    for (std::size_t c = 0; c < candidates_.size(); ++c) {
      const auto error = errors(candidates_[c].kind, pair);
      trials[c].bad.push_back(head_.reduce(head_.normalized(error.image, of_images[c])));
      const auto map = head_.normalized(error.pixel, of_pixels[c]);
      trials[c].bad_pixels.add(values_of(map.masked_select(mask > 0)));
      trials[c].good_pixels.add(values_of(map.masked_select(mask <= 0)));
    }
  });
}

void MapHead::Calibration::elect(const std::vector<Trial>& trials) {
  double best = -1;
  std::vector<std::string> told;
  for (std::size_t c = 0; c < candidates_.size(); ++c) {
    const auto& [good, bad, good_pixels, bad_pixels] = trials[c];
    const double auroc = bad.empty() ? 0 : evaluate::auroc(evaluate::LabeledScores(bad, good), 0.95).value;
    const double precision = stats::average_precision(bad_pixels, good_pixels);
    head_.trials_.insert(head_.trials_.end(), {auroc, precision});
    char figures[64];
    std::snprintf(figures, sizeof figures, " %.3f / %.3f", auroc, precision);
    told.push_back(std::string(name_of(candidates_[c].kind)) + figures);
    // Precision of pixels counts half: made-up defects are larger and sharper than most real ones, which favours maps
    // that keep edges over maps that notice faint ones.
    const double sum = auroc + 0.5 * precision;
    if (sum <= best) continue;
    best = sum;
    head_.chosen_ = candidates_[c].kind;
  }
  reporter_.info("error map: " + std::string(head_.kind_name()) +
                 ", by image AUROC / pixel average precision on synthetic defects: " + ae::join(told));
}

std::vector<double> MapHead::Calibration::learn_tails() {
  const auto& chosen = *std::find_if(candidates_.begin(), candidates_.end(),
                                     [&](const Candidate& candidate) { return candidate.kind == head_.chosen_; });
  std::vector<double> scores;
  stats::ValueHistogram pixels;
  good_.for_each([&](std::int64_t i, const Pair& pair) {
    const auto error = errors(chosen.kind, pair);
    scores.push_back(head_.reduce(head_.normalized(error.image, normalizer(chosen.image, error.image))));
    const auto map = head_.normalized(error.pixel, normalizer(chosen.pixel, error.pixel));
    const auto original = at_original_size(map, images_.original(i));
    pixels.add(values_of(original));
    head_.peaks_.push_back(original.max().item<double>());
  });
  std::sort(head_.peaks_.begin(), head_.peaks_.end());
  for (std::size_t step = 0; step <= kTailSteps + 1; ++step) {
    head_.tail_values_.push_back(pixels.upper_quantile(tail_of(step)));
  }
  head_.pixel_ = normalizer(chosen.pixel);
  head_.image_ = normalizer(chosen.image);
  return scores;
}

std::vector<double> MapHead::calibrate(const Reconstructor& reconstruct, const GoodImages& images, Reporter& reporter) {
  cv::setNumThreads(at::get_num_threads());
  forget();
  std::vector<Kind> kinds;
  std::copy_if(kEveryKind.begin(), kEveryKind.end(), std::back_inserter(kinds),
               [&](Kind each) { return kind == "auto" || kind == name_of(each); });
  chosen_ = kinds.size() == 1 ? kinds.front() : Kind::squared;
  if (images.count == 0) return {};
  Calibration calibration(*this, kinds, reconstruct, images, reporter);
  calibration.learn_levels();
  calibration.learn_moments();
  calibration.choose_kind();
  return calibration.learn_tails();
}

void MapHead::forget() {
  pixel_ = image_ = {};
  tail_values_.clear();
  peaks_.clear();
  trials_.clear();
  levels_ = {1, 1, 1};
}

double MapHead::pixel_threshold(double alpha) const {
  if (alpha <= 0) return tail_values_.back();
  const double step = -32 * std::log10(std::min(1.0, alpha));
  const auto below = static_cast<std::size_t>(step);
  if (below >= kTailSteps) return tail_values_[kTailSteps];
  const double part = step - static_cast<double>(below);
  return tail_values_[below] + part * (tail_values_[below + 1] - tail_values_[below]);
}

double MapHead::peak_threshold(double alpha) const {
  const auto n = peaks_.size();
  const double allowed = std::floor(alpha * static_cast<double>(n + 1)) - 1;  // images that may exceed it
  if (allowed < 0) return std::nextafter(peaks_.back(), std::numeric_limits<double>::infinity());
  if (allowed >= static_cast<double>(n)) return -std::numeric_limits<double>::infinity();
  return peaks_[n - 1 - static_cast<std::size_t>(allowed)];
}

at::Tensor at_original_size(const at::Tensor& map, data::Size original) {
  if (map.size(0) == original.height && map.size(1) == original.width) return map;
  auto answer = torch::empty({original.height, original.width}, torch::kFloat32);
  auto target = mat_of(answer);
  const bool shrinks = original.height * original.width < map.numel();
  cv::resize(mat_of(map), target, target.size(), 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_LINEAR);
  return answer;
}

// --- State -----------------------------------------------------------------------------------------------------------

Arrays MapHead::state() const {
  Arrays arrays;
  const auto which = static_cast<std::int64_t>(chosen_);
  arrays["kind"] = data::NamedArray::of(data::Dtype::i64, {1}, &which, 1);
  arrays["standard"] =
      array_of(std::vector<double>{pixel_.all_mean, pixel_.all_deviation, image_.all_mean, image_.all_deviation});
  arrays["levels"] = array_of(std::vector<double>(levels_.begin(), levels_.end()));
  if (by_position()) {
    arrays["pixel_mean"] = array_of(pixel_.mean);
    arrays["pixel_deviation"] = array_of(pixel_.deviation);
    arrays["image_mean"] = array_of(image_.mean);
    arrays["image_deviation"] = array_of(image_.deviation);
  }
  if (calibrated()) {
    arrays["pixel_tail"] = array_of(tail_values_);
    arrays["peaks"] = array_of(peaks_);
  }
  if (!trials_.empty()) arrays["trials"] = array_of(trials_);
  return arrays;
}

void MapHead::restore(const Arrays& arrays, const loss::Autoencoder&) {
  const auto damaged = [](const std::string& name, const std::string& what) {
    return InputError("head." + name + ": " + what + "; the file is damaged");
  };
  const auto* which = find(arrays, "kind", data::Dtype::i64, 1);
  if (which == nullptr || which->bytes.size() != sizeof(std::int64_t)) throw damaged("kind", "missing");
  std::int64_t number = 0;
  std::memcpy(&number, which->bytes.data(), sizeof number);
  if (number < 0 || number >= static_cast<std::int64_t>(kEveryKind.size())) throw damaged("kind", "unknown");
  chosen_ = static_cast<Kind>(number);
  const auto levels = doubles_of(arrays, "levels");
  if (levels.size() != levels_.size() || *std::min_element(levels.begin(), levels.end()) <= 0) {
    throw damaged("levels", "not three positive numbers");
  }
  std::copy(levels.begin(), levels.end(), levels_.begin());
  const auto standard = doubles_of(arrays, "standard");
  if (standard.size() != 4 || standard[1] <= 0 || standard[3] <= 0) {
    throw damaged("standard", "not two means with positive deviations");
  }
  pixel_ = {standard[0], standard[1], plane_of(arrays, "pixel_mean"), plane_of(arrays, "pixel_deviation")};
  image_ = {standard[2], standard[3], plane_of(arrays, "image_mean"), plane_of(arrays, "image_deviation")};
  for (const auto& plane : {pixel_.deviation, image_.mean, image_.deviation}) {
    if (plane.defined() != pixel_.mean.defined() || (plane.defined() && plane.sizes() != pixel_.mean.sizes())) {
      throw damaged("pixel_mean", "does not fit the other arrays");
    }
  }
  if (pixel_.mean.defined() && (pixel_.mean.numel() == 0 || pixel_.deviation.min().item<float>() <= 0 ||
                                image_.deviation.min().item<float>() <= 0)) {
    throw damaged("pixel_deviation", "not positive");
  }
  tail_values_ = doubles_of(arrays, "pixel_tail");
  peaks_ = doubles_of(arrays, "peaks");
  trials_ = doubles_of(arrays, "trials");
  const bool has_tail = !tail_values_.empty();
  if (has_tail != !peaks_.empty() || (has_tail && tail_values_.size() != kTailSteps + 2)) {
    throw damaged("pixel_tail", "of the wrong length");
  }
  if (!std::is_sorted(tail_values_.begin(), tail_values_.end())) throw damaged("pixel_tail", "not sorted");
  if (!std::is_sorted(peaks_.begin(), peaks_.end())) throw damaged("peaks", "not sorted");
}

std::unique_ptr<Head> make_map() { return std::make_unique<MapHead>(); }

}  // namespace ae::score
