#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <numeric>
#include <thread>

#include "base/random.hpp"
#include "base/signals.hpp"
#include "stats/intervals.hpp"
#include "stats/roc.hpp"

namespace ae::stats {

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

// Independent uniform draws below a bound, two from each random word (Lemire's multiply-shift with rejection, 32 bit).
template <typename Take>
void draw(std::uint64_t draws, std::uint32_t bound, Random& random, Take&& take) {
  const std::uint32_t rejected = (0u - bound) % bound;
  std::uint64_t taken = 0;
  while (taken < draws) {
    const std::uint64_t bits = random.bits();
    for (const auto half : {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)}) {
      const std::uint64_t product = static_cast<std::uint64_t>(half) * bound;
      if (static_cast<std::uint32_t>(product) < rejected || taken == draws) continue;
      take(static_cast<std::uint32_t>(product >> 32));
      ++taken;
    }
  }
}

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
    Random random(stream_key(seed_, purpose, static_cast<std::uint64_t>(resample)));
    const auto rows = static_cast<std::uint32_t>(bin_of_row.size());
    draw(rows, rows, random, [&](std::uint32_t row) { ++counts[bin_of_row[row]]; });
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

int thread_count(const BootstrapOptions& options, std::int64_t draws) {
  if (options.threads > 0) return options.threads;
  constexpr std::int64_t draws_worth_a_thread = 2'000'000;  // some milliseconds
  const auto useful = std::max<std::int64_t>(1, draws / draws_worth_a_thread);
  const auto available = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  return static_cast<int>(std::min(useful, available));
}

// Every resample is a pure function of (seed, its number), so the threads' shares do not change the result.
std::vector<double> resampled_precisions(const Bins& bins, std::uint64_t seed, std::int64_t resamples, int threads,
                                         const std::function<void(std::int64_t, std::int64_t)>& progress) {
  std::vector<double> results(static_cast<std::size_t>(resamples));
  std::atomic<std::int64_t> next = 0;
  const auto work = [&](bool reports) {
    Resampler resampler(bins, seed);
    for (std::int64_t r = next++; r < resamples && stop_signal() == 0; r = next++) {
      results[static_cast<std::size_t>(r)] = resampler(r);
      if (reports && progress) progress(r + 1, resamples);
    }
  };
  std::exception_ptr failure;
  {
    std::vector<std::jthread> helpers;
    std::vector<std::exception_ptr> failures(static_cast<std::size_t>(threads));
    const auto guarded = [&](std::size_t t) {
      try {
        work(t == 0);
      } catch (...) {
        failures[t] = std::current_exception();
        next = resamples;
      }
    };
    for (int t = 1; t < threads; ++t) helpers.emplace_back(guarded, static_cast<std::size_t>(t));
    guarded(0);
    helpers.clear();  // joins
    for (const auto& one : failures)
      if (one && !failure) failure = one;
  }
  if (failure) std::rethrow_exception(failure);
  throw_if_stopped("bootstrap");
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
  const int threads = thread_count(options, rows * result.resamples);
  auto precisions = resampled_precisions(Bins(scores), options.seed, result.resamples, threads, progress);
  std::sort(precisions.begin(), precisions.end());
  result.estimate.standard_error = standard_deviation(precisions);
  result.estimate.interval = percentile_interval(precisions, options.confidence);
  return result;
}

}  // namespace ae::stats
