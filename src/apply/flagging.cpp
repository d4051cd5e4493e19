#include "apply/flagging.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::apply {
namespace {

std::string rounded(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

// Lines whose flag can only be told when all samples were seen wait in an unnamed temporary file, in two parts: before
// and after the flag.
class Flagging::Spool {
 public:
  Spool() {
    std::error_code error;
    folder_ = std::filesystem::temp_directory_path(error).string();  // honours TMPDIR
    std::string name = folder_ + "/ae-score-XXXXXX";
    const int descriptor = error ? -1 : ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor >= 0) {
      ::unlink(name.c_str());
      file_.reset(::fdopen(descriptor, "w+b"));
    }
    if (file_ == nullptr) fail("create");
  }
  // `p_value` not a number: that of a sample that could not be read.
  void add(double p_value, double score, std::string_view before, std::string_view after) {
    const Entry entry{p_value, score, before.size(), after.size()};
    put(&entry, sizeof entry);
    put(before.data(), before.size());
    put(after.data(), after.size());
  }
  template <typename Visit>
  void replay(Visit&& visit) {
    if (std::fflush(file_.get()) != 0) fail("write");
    std::rewind(file_.get());
    Entry entry;
    std::string before, after;
    while (std::fread(&entry, sizeof entry, 1, file_.get()) == 1) {
      before.resize(entry.before);
      after.resize(entry.after);
      get(before);
      get(after);
      visit(entry.p_value, entry.score, before, after);
    }
  }

 private:
  struct Entry {
    double p_value;
    double score;
    std::size_t before;
    std::size_t after;
  };
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  [[noreturn]] void fail(const char* action) const {
    throw RunError("temporary file in " + ae::quoted(folder_, 200) + ": cannot " + action + ": " +
                   std::strerror(errno) + "; set TMPDIR to a folder with space for the output");
  }
  void put(const void* data, std::size_t size) {
    if (size > 0 && std::fwrite(data, size, 1, file_.get()) != 1) fail("write");
  }
  void get(std::string& text) {
    if (!text.empty() && std::fread(text.data(), text.size(), 1, file_.get()) != 1) fail("read");
  }
  std::string folder_;
  std::unique_ptr<std::FILE, Close> file_;
};

// The strangest lines so far, at most so many; of equal scores the earlier ones.
class Flagging::Strangest {
 public:
  explicit Strangest(std::int64_t most) : most_(static_cast<std::size_t>(most)) {}
  bool takes(double score) const { return kept_.size() < most_ || (most_ > 0 && score > kept_.front().score); }
  void add(double score, std::string line) {
    if (kept_.size() == most_) {
      std::pop_heap(kept_.begin(), kept_.end(), stranger);
      kept_.pop_back();
    }
    kept_.push_back({score, added_++, std::move(line)});
    std::push_heap(kept_.begin(), kept_.end(), stranger);
  }
  std::vector<std::string> in_order() {
    std::sort_heap(kept_.begin(), kept_.end(), stranger);
    std::vector<std::string> lines;
    for (auto& entry : kept_) lines.push_back(std::move(entry.line));
    return lines;
  }

 private:
  struct Entry {
    double score;
    std::int64_t order;
    std::string line;
  };
  static bool stranger(const Entry& a, const Entry& b) {
    return a.score != b.score ? a.score > b.score : a.order < b.order;
  }
  std::size_t most_;
  std::vector<Entry> kept_;  // a heap with the least strange one first
  std::int64_t added_ = 0;
};

double threshold_of_summary(const std::filesystem::path& summary, const std::string& digest, bool force,
                            Reporter& reporter) {
  const auto json = nlohmann::json::parse(read_file(summary, FileKind::data), nullptr, false);
  const nlohmann::json::json_pointer pointer("/chosen/threshold");
  if (json.is_discarded() || !json.contains(pointer) || !json[pointer].is_number()) {
    throw InputError(summary.string() +
                     ": /chosen/threshold: not found; expected the summary.json that ae-roc --summary writes");
  }
  const auto model = json.find("model");
  if (model == json.end() || !model->is_string()) {
    reporter.warning(summary.string() +
                     ": does not say which model its threshold belongs to; scores of another one mean something else");
  } else if (const auto other = model->get<std::string>(); other != digest) {
    const std::string line = summary.string() + ": /model: its threshold belongs to the model " + ae::quoted(other) +
                             ", and this one is " + ae::quoted(digest);
    if (!force) {
      throw UsageError(line + "; make a summary of this model's scores with ae-roc, or use --force to insist");
    }
    reporter.warning(line + "; used all the same (--force)");
  }
  return json[pointer].get<double>();
}

std::string totals_text(const FlagTotals& totals, std::string_view noun, const FlagOptions& options) {
  return counted(totals.scored, noun) + " scored" +
         (options.any() ? ", " + std::to_string(totals.flagged) + " flagged" : "") +
         (totals.bad > 0
              ? ", " + std::to_string(totals.bad) + " could not be read (the first: " + totals.first_bad + ")"
              : "");
}

Flagging::Flagging(const FlagOptions& options, const stats::ConformalCalibration& calibration, std::string model,
                   std::string digest, std::string noun, Output& output, Reporter& reporter)
    : options_(options),
      calibration_(calibration),
      model_(std::move(model)),
      digest_(std::move(digest)),
      noun_(std::move(noun)),
      output_(output),
      reporter_(reporter),
      by_tail_(options.alpha && calibration.has_tail() && *options.alpha < calibration.smallest()),
      drift_(calibration),
      before_(options.format, {"id", "score", "p_value", "tail_p_value"}),
      flag_(options.format, {"flag"}),
      label_(options.format, {"label"}),
      end_(options.format, {"model"}) {
  if (options_.fdr) spool_ = std::make_unique<Spool>();
  if (options_.top) strangest_ = std::make_unique<Strangest>(*options_.top);
  end_.text(digest_);
}

Flagging::~Flagging() = default;

void Flagging::begin(bool labels, const std::vector<std::string>& columns) {
  tell_calibration();
  labels_ = labels;
  if (options_.format == LineFormat::jsonl) return;
  std::string line = "id,score,p_value";
  if (by_tail_) line += ",tail_p_value";
  if (options_.any()) line += ",flag";
  if (labels_) line += ",label";
  for (const auto& column : columns) append_csv_field(line += ',', column);
  output_.write(line += ",model\n");
}

void Flagging::tell_calibration() {
  const std::string size = std::to_string(calibration_.size()), smallest = number_text(calibration_.smallest());
  if (calibration_.size() == 0) {
    reporter_.warning(model_ + ": holds no calibration scores (trained without held-out " + noun_ +
                      "), so every p_value is 1");
  } else if (by_tail_) {
    reporter_.info("--alpha " + number_text(*options_.alpha) + " is below the smallest p_value that " + size +
                   " calibration " + noun_ + " can give, " + smallest +
                   "; flags go by tail_p_value, a generalised Pareto tail of the " +
                   std::to_string(calibration_.exceedances()) + " largest of their scores (shape " +
                   rounded(calibration_.tail().shape, "%.3g") + ")");
  } else if (options_.alpha && *options_.alpha < calibration_.smallest()) {
    reporter_.warning("--alpha " + number_text(*options_.alpha) + " flags nothing: with " + size + " held-out " +
                      noun_ + " the smallest p_value is " + smallest + "; train with more held-out " + noun_ +
                      " or raise alpha");
  }
}

double Flagging::add(const ScoredSample& sample) {
  const std::size_t rank = calibration_.below(sample.score);
  const double p_value = calibration_.p_value_of_rank(rank);
  ++totals_.scored;
  if (sample.observed) {
    drift_.add(sample.score, rank);
  } else {
    ++totals_.unobserved;
  }
  before_.clear();
  before_.text(sample.id);
  before_.number(sample.score);
  before_.number(p_value);
  if (by_tail_) before_.number(calibration_.tail_p_value(sample.score));
  write_after(sample);
  if (spool_) {
    ++p_values_[p_value];
    spool_->add(p_value, sample.score, before_.written(), after_);
    return p_value;
  }
  write({before_.written(), after_, flagged(sample.score, p_value), sample.score});
  return p_value;
}

std::optional<bool> Flagging::flagged(double score, double p_value) const {
  if (options_.threshold) return score >= *options_.threshold;
  if (options_.alpha) return (by_tail_ ? calibration_.tail_p_value(score) : p_value) <= *options_.alpha;
  if (!options_.fdr) return std::nullopt;
  if (cut_) return p_value <= *cut_;
  if (p_value > *options_.fdr) return false;  // the cut is never above it
  return std::nullopt;
}

void Flagging::add_bad(const ScoredSample& sample) {
  ++totals_.bad;
  if (!options_.all_lines()) return;
  before_.clear();
  before_.text(sample.id);
  before_.nothing();
  before_.nothing();
  if (by_tail_) before_.nothing();
  write_after(sample);
  const double none = std::numeric_limits<double>::quiet_NaN();
  if (spool_) {
    spool_->add(none, none, before_.written(), after_);
  } else {
    write({before_.written(), after_, std::nullopt, none});
  }
}

void Flagging::write_after(const ScoredSample& sample) {
  after_.clear();
  if (labels_) {
    label_.clear();
    label_.text(sample.label);
    after_ += label_.written();
  }
  after_.append(sample.rest).append(end_.written());
}

void Flagging::write(const Line& line) {
  if (line.flag.value_or(false)) {
    ++totals_.flagged;
    totals_.threshold = std::min(totals_.threshold.value_or(line.score), line.score);
  } else if (options_.flagged_only) {
    return;
  }
  if (strangest_ && !strangest_->takes(line.score)) return;
  const std::size_t start = text_.size();
  const bool json = options_.format == LineFormat::jsonl;
  text_.append(json ? "{" : "").append(line.before.substr(1));  // each cell is behind a comma
  if (options_.any()) {
    flag_.clear();
    line.flag ? flag_.number(*line.flag ? 1 : 0) : flag_.nothing();
    text_ += flag_.written();
  }
  text_.append(line.after).append(json ? "}\n" : "\n");
  if (!strangest_) return;
  strangest_->add(line.score, text_.substr(start));
  text_.resize(start);
}

void Flagging::flush() {
  output_.write(text_);
  output_.flush();
  text_.clear();
}

FlagTotals Flagging::finish() {
  if (spool_) flag_spooled();
  if (strangest_) {
    for (const auto& line : strangest_->in_order()) text_ += line;
  }
  flush();
  if (!options_.fdr) totals_.threshold = options_.any() ? score_threshold() : std::nullopt;
  if (totals_.unobserved > 0) {
    reporter_.warning(std::to_string(totals_.unobserved) + " of " + std::to_string(totals_.scored) + " " + noun_ +
                      " have no observed cell; their score is 0 and says nothing");
  }
  judge_drift();
  return totals_;
}

void Flagging::flag_spooled() {
  constexpr std::size_t kMuch = 1 << 16;
  cut_ = stats::benjamini_hochberg_cut_of_counts(p_values_, *options_.fdr);
  spool_->replay([&](double p_value, double score, const std::string& before, const std::string& after) {
    write({before, after, std::isnan(p_value) ? std::nullopt : std::optional(p_value <= *cut_), score});
    if (text_.size() > kMuch) flush();
  });
}

// Where flags are asked for, a day that is not like the calibration is worth a warning; else it is told in passing.
void Flagging::judge_drift() {
  const double p_value = drift_.p_value();
  totals_.drift = {p_value, drift_.distance(), drift_.bulk_share()};
  totals_.drifted = p_value < kDriftAlarm;
  if (!totals_.drifted) return;
  const std::string line = "these " + noun_ + " do not score as the " + std::to_string(calibration_.size()) +
                           " normal " + noun_ + " that p_value is calibrated with (p = " + rounded(p_value, "%.2g") +
                           "; " + rounded(100 * drift_.bulk_share(), "%.1f") +
                           " % of them score at or below the calibration's median, Kolmogorov-Smirnov distance there " +
                           rounded(drift_.distance(), "%.2g") + "): the data have changed, or most " + noun_ +
                           " are anomalous; train again on recent normal " + noun_;
  if (options_.any() || options_.watch_drift) {
    reporter_.warning(line);
  } else {
    reporter_.info(line);
  }
}

std::optional<double> Flagging::score_threshold() const {
  if (options_.threshold) return options_.threshold;
  const auto& sorted = calibration_.sorted();
  if (sorted.empty() || options_.fdr) return std::nullopt;
  if (by_tail_) return first_beyond_tail(*options_.alpha);
  // p(s) = (1 + #{c >= s}) / (n + 1) <= alpha: above the k-th largest calibration score with k = alpha (n + 1).
  const auto allowed = std::floor(shown_alpha() * static_cast<double>(sorted.size() + 1));
  if (allowed < 1) return std::nullopt;
  if (allowed > static_cast<double>(sorted.size())) return sorted.front();
  return std::nextafter(sorted[sorted.size() - static_cast<std::size_t>(allowed)], HUGE_VAL);
}

// The smallest score with a tail p-value of at most alpha, by bisection: larger scores have no larger ones. Doubles
// above 0 are ordered as their bits are.
std::optional<double> Flagging::first_beyond_tail(double alpha) const {
  const auto bits = [](double score) { return std::bit_cast<std::uint64_t>(score); };
  const auto& sorted = calibration_.sorted();
  auto not_flagged = bits(sorted[sorted.size() - 1 - calibration_.exceedances()]);  // where the tail begins
  auto flagged = bits(std::numeric_limits<double>::infinity());
  while (flagged - not_flagged > 1) {
    const auto middle = not_flagged + (flagged - not_flagged) / 2;
    (calibration_.tail_p_value(std::bit_cast<double>(middle)) <= alpha ? flagged : not_flagged) = middle;
  }
  if (std::isinf(std::bit_cast<double>(flagged))) return std::nullopt;
  return std::bit_cast<double>(flagged);
}

std::string Flagging::threshold_rule() const {
  if (options_.threshold) return "given";
  if (options_.fdr) return "the false discovery rate decides by all " + noun_ + " together";
  return std::string(by_tail_ ? "tail " : "") + "p-value of at most " + number_text(shown_alpha()) + " against " +
         std::to_string(calibration_.size()) + " held-out good " + noun_;
}

}  // namespace ae::apply
