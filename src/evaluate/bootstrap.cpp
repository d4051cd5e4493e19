#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <thread>

#include "base/parallel_tasks.hpp"
#include "base/random.hpp"
#include "evaluate/intervals.hpp"
#include "evaluate/roc.hpp"

namespace ae::evaluate {

namespace {

constexpr std::int64_t kFewestResamples = 200;

// What average precision needs to know of each row: only the order of normal rows relative to anomalies matters, so
// normal rows fall into one bin per distinct anomaly score (those at or above it, below the previous one). Bin numbers
// rise as scores fall; normal rows below every anomaly share a last bin that never counts.
struct Bins {
  std::vector<std::uint32_t> of_anomaly;
  std::vector<std::uint32_t> of_normal;
  std::uint32_t count = 0;

  explicit Bins(const LabeledScores& scores) {
    of_anomaly.reserve(scores.anomalies().size());
    of_normal.reserve(scores.normals().size());
    scores.for_each_score([&](double, std::int64_t anomalies, std::int64_t normals) {
      of_normal.insert(of_normal.end(), static_cast<std::size_t>(normals), count);
      of_anomaly.insert(of_anomaly.end(), static_cast<std::size_t>(anomalies), count);
      if (anomalies > 0) ++count;
    });
  }
};

constexpr std::uint32_t kBlock = 1u << 13;  // rows whose bin numbers and counts fit into the first-level cache

// How many of `draws` independent events of probability p happen, p = fraction / 2^64: the events' uniform numbers are
// compared with p bit by bit, 64 of them at once, until none is undecided.
std::uint64_t binomial(std::uint64_t draws, std::uint64_t fraction, Random& random) {
  std::uint64_t happened = 0;
  for (std::uint64_t left = draws; left > 0;) {
    const std::uint64_t batch = std::min<std::uint64_t>(left, 64);
    std::uint64_t undecided = ~0ull >> (64 - batch);
    for (std::uint64_t bits = fraction; bits != 0 && undecided != 0; bits <<= 1) {
      const std::uint64_t digits = random.bits();
      if (bits >> 63) {
        happened += static_cast<std::uint64_t>(std::popcount(undecided & ~digits));  // 0 below 1: less than p
        undecided &= digits;
      } else {
        undecided &= ~digits;  // 1 above 0: not less than p
      }
    }
    left -= batch;
  }
  return happened;
}

// Draws rows with replacement and counts them per bin. Halving the rows and drawing how many of the draws fall into
// each half gives the same distribution as drawing from all of them, but touches memory in order, and stops where all
// rows are in one bin.
class Drawing {
 public:
  Drawing(const std::vector<std::uint32_t>& bin_of_row, std::vector<std::uint32_t>& counts, Random random)
      : bin_of_row_(bin_of_row), counts_(counts), random_(random) {}

  void draw(std::uint64_t draws, std::uint32_t first, std::uint32_t rows) {
    const std::uint32_t bin = bin_of_row_[first];
    if (draws == 0) return;
    if (bin == bin_of_row_[first + rows - 1]) {
      counts_[bin] += static_cast<std::uint32_t>(draws);
    } else if (rows == kBlock) {
      draw_in_block(draws, first);
    } else if (rows < kBlock) {
      for (; draws > 0; --draws) take(first + static_cast<std::uint32_t>(random_.below(rows)));
    } else {
      const std::uint32_t left_rows = std::bit_floor(rows - 1);
      const auto fraction = (static_cast<unsigned __int128>(left_rows) << 64) / rows;
      const std::uint64_t left = binomial(draws, static_cast<std::uint64_t>(fraction), random_);
      draw(left, first, left_rows);
      draw(draws - left, first + left_rows, rows - left_rows);
    }
  }

 private:
  void take(std::uint32_t row) { ++counts_[bin_of_row_[row]]; }

  void draw_in_block(std::uint64_t draws, std::uint32_t first) {  // four draws from the bits of one word
    for (; draws >= 4; draws -= 4) {
      const std::uint64_t bits = random_.bits();
      for (int shift = 0; shift < 64; shift += 16) take(first + static_cast<std::uint32_t>((bits >> shift) % kBlock));
    }
    for (; draws > 0; --draws) take(first + static_cast<std::uint32_t>(random_.bits() % kBlock));
  }

  const std::vector<std::uint32_t>& bin_of_row_;
  std::vector<std::uint32_t>& counts_;
  Random random_;
};

class Resampler {
 public:
  Resampler(const Bins& bins, std::uint64_t seed)
      : bins_(bins), seed_(seed), anomalies_(bins.count + 1), normals_(bins.count + 1) {}

  double operator()(std::int64_t resample) {
    fill(anomalies_, bins_.of_anomaly, "bootstrap anomalies", resample);
    fill(normals_, bins_.of_normal, "bootstrap normals", resample);
    double sum = 0;
    std::uint64_t tp = 0;
    std::uint64_t flagged = 0;
    for (std::uint32_t b = 0; b < bins_.count; ++b) {
      tp += anomalies_[b];
      flagged += anomalies_[b] + normals_[b];
      if (anomalies_[b] > 0)
        sum += static_cast<double>(anomalies_[b]) * static_cast<double>(tp) / static_cast<double>(flagged);
    }
    return sum / static_cast<double>(bins_.of_anomaly.size());
  }

 private:
  void fill(std::vector<std::uint32_t>& counts, const std::vector<std::uint32_t>& bin_of_row, std::string_view purpose,
            std::int64_t resample) {
    std::fill(counts.begin(), counts.end(), 0u);
    const auto rows = static_cast<std::uint32_t>(bin_of_row.size());
    const Random random(stream_key(seed_, purpose, static_cast<std::uint64_t>(resample)));
    Drawing(bin_of_row, counts, random).draw(rows, 0, rows);
  }

  const Bins& bins_;
  std::uint64_t seed_;
  std::vector<std::uint32_t> anomalies_;
  std::vector<std::uint32_t> normals_;
};

std::int64_t affordable_resamples(const BootstrapOptions& options, std::int64_t rows) {
  const std::int64_t within_limit = std::max(kFewestResamples, options.work_limit / rows);
  return std::min(options.resamples, within_limit);
}

int thread_count(const BootstrapOptions& options, std::int64_t resamples, std::int64_t draws) {
  if (options.threads > 0) return static_cast<int>(std::min<std::int64_t>(options.threads, resamples));
  constexpr std::int64_t draws_worth_a_thread = 2'000'000;  // some milliseconds
  const auto useful = std::max<std::int64_t>(1, draws / draws_worth_a_thread);
  const auto available = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  return static_cast<int>(std::min(useful, available));
}

// Every resample is a pure function of (seed, its number), so the threads' shares do not change the result.
std::vector<double> resampled_precisions(const Bins& bins, std::uint64_t seed, std::int64_t resamples, int threads,
                                         const std::function<void(std::int64_t, std::int64_t)>& progress) {
  std::vector<double> results(static_cast<std::size_t>(resamples));
  std::vector<Resampler> of_thread(static_cast<std::size_t>(threads), Resampler(bins, seed));
  const auto resample = [&](std::int64_t r, int thread) {
    results[static_cast<std::size_t>(r)] = of_thread[static_cast<std::size_t>(thread)](r);
  };
  const auto told = [&](std::int64_t done) {
    if (progress) progress(done, resamples);
  };
  run_tasks(resamples, threads, "bootstrap", resample, told);
  return results;
}

double standard_deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (n - 1));
}

}  // namespace

BootstrapEstimate bootstrap_average_precision(const LabeledScores& scores, const BootstrapOptions& options,
                                              const std::function<void(std::int64_t, std::int64_t)>& progress) {
  BootstrapEstimate result;
  result.estimate.value = average_precision(scores);
  result.estimate.interval = {result.estimate.value, result.estimate.value};
  if (options.resamples <= 0) return result;
  const std::int64_t rows = scores.anomaly_count() + scores.normal_count();
  result.resamples = affordable_resamples(options, rows);
  const int threads = thread_count(options, result.resamples, rows * result.resamples);
  auto precisions = resampled_precisions(Bins(scores), options.seed, result.resamples, threads, progress);
  std::sort(precisions.begin(), precisions.end());
  result.estimate.standard_error = standard_deviation(precisions);
  result.estimate.interval = percentile_interval(precisions, options.confidence);
  return result;
}

}  // namespace ae::evaluate
