#include "apply/flagging.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae::apply {
namespace {

// Rarer than once in a thousand batches that do score as the calibration samples.
constexpr double kDriftAlarm = 1e-3;

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
  void add(double p_value, std::string_view before, std::string_view after) {
    const Entry entry{p_value, before.size(), after.size()};
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
      visit(entry.p_value, before, after);
    }
  }

 private:
  struct Entry {
    double p_value;
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

double threshold_of_summary(const std::filesystem::path& summary) {
  const auto json = nlohmann::json::parse(read_file(summary, FileKind::data), nullptr, false);
  const nlohmann::json::json_pointer pointer("/chosen/threshold");
  if (json.is_discarded() || !json.contains(pointer) || !json[pointer].is_number()) {
    throw InputError(summary.string() +
                     ": /chosen/threshold: not found; expected the summary.json that ae-roc --summary writes");
  }
  return json[pointer].get<double>();
}

std::string totals_text(const FlagTotals& totals, std::string_view noun, const FlagOptions& options) {
  return std::to_string(totals.scored).append(" ").append(noun).append(" scored") +
         (options.any() ? ", " + std::to_string(totals.flagged) + " flagged" : "");
}

Flagging::Flagging(const FlagOptions& options, const stats::ConformalCalibration& calibration, std::string model,
                   std::string noun, Output& output, Reporter& reporter)
    : options_(options),
      calibration_(calibration),
      model_(std::move(model)),
      noun_(std::move(noun)),
      output_(output),
      reporter_(reporter),
      by_tail_(options.alpha && calibration.has_tail() && *options.alpha < calibration.smallest()),
      drift_(calibration) {
  if (options_.fdr) spool_ = std::make_unique<Spool>();
}

Flagging::~Flagging() = default;

void Flagging::begin(bool labels, std::string_view columns) {
  tell_calibration();
  labels_ = labels;
  std::string line = "id,score,p_value";
  if (by_tail_) line += ",tail_p_value";
  if (options_.any()) line += ",flag";
  if (labels_) line += ",label";
  output_.write(line.append(columns) + "\n");
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
    ++unobserved_;
  }
  const std::size_t start = text_.size();
  append_csv_field(text_, sample.id);
  text_ += ',';
  append_number(text_, sample.score);
  text_ += ',';
  append_number(text_, p_value);
  double flag_p_value = p_value;
  if (by_tail_) {
    flag_p_value = calibration_.tail_p_value(sample.score);
    text_ += ',';
    append_number(text_, flag_p_value);
  }
  after_.clear();
  if (labels_) {
    after_ += ',';
    append_csv_field(after_, sample.label);
  }
  after_.append(sample.rest) += '\n';
  if (spool_) {
    ++p_values_[p_value];
    spool_->add(p_value, std::string_view(text_).substr(start), after_);
    text_.resize(start);
    return p_value;
  }
  if (options_.any()) {
    append_flag(text_, options_.threshold ? sample.score >= *options_.threshold : flag_p_value <= *options_.alpha);
  }
  text_ += after_;
  return p_value;
}

void Flagging::append_flag(std::string& text, bool flagged) {
  text += flagged ? ",1" : ",0";
  totals_.flagged += flagged ? 1 : 0;
}

void Flagging::flush() {
  output_.write(text_);
  output_.flush();
  text_.clear();
}

FlagTotals Flagging::finish() {
  flush();
  if (spool_) flag_spooled();
  if (unobserved_ > 0) {
    reporter_.warning(std::to_string(unobserved_) + " of " + std::to_string(totals_.scored) + " " + noun_ +
                      " have no observed cell; their score is 0 and says nothing");
  }
  judge_drift();
  return totals_;
}

void Flagging::flag_spooled() {
  const double cut = stats::benjamini_hochberg_cut_of_counts(p_values_, *options_.fdr);
  std::string line;
  spool_->replay([&](double p_value, const std::string& before, const std::string& after) {
    line = before;
    append_flag(line, p_value <= cut);
    output_.write(line += after);
  });
}

// Where flags rest on the calibration a stale one is worth a warning; else it is told in passing.
void Flagging::judge_drift() {
  const double p_value = drift_.p_value();
  totals_.drifted = p_value < kDriftAlarm;
  if (!totals_.drifted) return;
  const std::string line = "these " + noun_ + " do not score as the " + std::to_string(calibration_.size()) +
                           " normal " + noun_ + " that p_value is calibrated with (p = " + rounded(p_value, "%.2g") +
                           "; " + rounded(100 * drift_.bulk_share(), "%.1f") +
                           " % of them score at or below the calibration's median, Kolmogorov-Smirnov distance there " +
                           rounded(drift_.distance(), "%.2g") + "): the data have changed, or most " + noun_ +
                           " are anomalous; train again on recent normal " + noun_;
  if (options_.alpha || options_.fdr || options_.watch_drift) {
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
