#include "apply/score_table.hpp"

#include <fcntl.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>

#include "base/error.hpp"
#include "base/text.hpp"
#include "score/head.hpp"
#include "stats/conformal.hpp"

namespace ae::apply {
namespace {

// Rarer than once in a thousand batches that do score as the calibration rows.
constexpr double kDriftAlarm = 1e-3;

std::string rounded(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// Rows chosen by --rows and --exclude-rows.
class RowFilter {
 public:
  explicit RowFilter(const ScoreOptions& options) : options_(options) {
    if (!options.only_rows.empty()) only_ = data::read_row_numbers(options.only_rows, -1);
    if (!options.exclude_rows.empty()) excluded_ = data::read_row_numbers(options.exclude_rows, -1);
    all_ = options.only_rows.empty() && options.exclude_rows.empty();
    has_only_ = !options.only_rows.empty();
  }
  // How many rows there are is known at the end only. A number beyond them belongs to another table.
  void check(std::int64_t rows) const {
    if (!only_.empty() && only_.back() >= rows) data::read_row_numbers(options_.only_rows, rows);
    if (!excluded_.empty() && excluded_.back() >= rows) data::read_row_numbers(options_.exclude_rows, rows);
  }
  bool keeps(std::int64_t row) const {
    if (all_) return true;
    if (has_only_ && !std::binary_search(only_.begin(), only_.end(), row)) return false;
    return !std::binary_search(excluded_.begin(), excluded_.end(), row);
  }

 private:
  const ScoreOptions& options_;
  std::vector<std::int64_t> only_;
  std::vector<std::int64_t> excluded_;
  bool all_ = true;
  bool has_only_ = false;
};

// Lines whose flag can only be told when all rows were seen wait in an unnamed temporary file, in two parts: before and
// after the flag.
class Spool {
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

class TableScorer {
 public:
  TableScorer(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, Output& output, Reporter& reporter)
      : checkpoint_(checkpoint),
        options_(options),
        output_(output),
        reporter_(reporter),
        filter_(options),
        columns_(element_columns(checkpoint.schema())),
        explained_(std::min<std::size_t>(static_cast<std::size_t>(options.explain), columns_.size())),
        by_tail_(options.alpha && checkpoint.calibration().has_tail() &&
                 *options.alpha < checkpoint.calibration().smallest()),
        drift_(checkpoint.calibration()) {
    if (options.fdr) spool_ = std::make_unique<Spool>();
    warn_about_calibration();
  }

  ScoreTotals run() {
    StreamOptions stream = options_.stream;
    stream.keep_raw = explained_ > 0;
    if (options_.world.size > 1) stream.share = own_share();
    TableStream(checkpoint_, stream, reporter_).for_each([&](data::TableReader& reader, const data::Block& block) {
      score_block(reader, block);
    });
    filter_.check(rows_read_);
    if (totals_.rows == 0 && options_.world.size == 1)
      throw InputError("no row is left to score; check the files of --rows and --exclude-rows");
    if (spool_) flag_spooled();
    if (unobserved_ > 0) {
      reporter_.warning(std::to_string(unobserved_) + " of " + std::to_string(totals_.rows) +
                        " rows have no observed cell; their score is 0 and says nothing");
    }
    judge_drift();
    return totals_;
  }

 private:
  bool flags() const { return options_.threshold || options_.alpha || options_.fdr; }

  // How many rows there are is known only when all were counted. The header is that of a single process.
  StreamOptions::Share own_share() {
    StreamOptions::Share share;
    share.input_rows =
        TableStream(checkpoint_, options_.stream, reporter_).count_rows([&](const data::TableReader& reader) {
          if (!header_written_) write_header(reader);
        });
    rows_read_ = std::accumulate(share.input_rows.begin(), share.input_rows.end(), std::int64_t{0});
    std::tie(share.first, share.end) = options_.world.share_of(rows_read_);
    return share;
  }

  void warn_about_calibration() {
    const auto& calibration = checkpoint_.calibration();
    if (calibration.size() == 0) {
      reporter_.warning(checkpoint_.name() +
                        ": holds no calibration scores (trained without held-out rows), so every p_value is 1");
    } else if (by_tail_) {
      reporter_.info(
          "--alpha " + number_text(*options_.alpha) + " is below the smallest p_value that " +
          std::to_string(calibration.size()) + " calibration rows can give, " + number_text(calibration.smallest()) +
          "; flags go by tail_p_value, a generalised Pareto tail of the " + std::to_string(calibration.exceedances()) +
          " largest of their scores (shape " + rounded(calibration.tail().shape, "%.3g") + ")");
    } else if (options_.alpha && *options_.alpha < calibration.smallest()) {
      reporter_.warning("--alpha " + number_text(*options_.alpha) + " flags nothing: with " +
                        std::to_string(calibration.size()) + " held-out rows the smallest p_value is " +
                        number_text(calibration.smallest()) + "; train with more held-out rows or raise alpha");
    }
  }

  // Where flags rest on the calibration a stale one is worth a warning; else it is told in passing.
  void judge_drift() {
    const double p_value = drift_.p_value();
    totals_.drifted = p_value < kDriftAlarm;
    if (!totals_.drifted) return;
    const std::string line =
        "these rows do not score as the " + std::to_string(checkpoint_.calibration().size()) +
        " normal rows that p_value is calibrated with (p = " + rounded(p_value, "%.2g") + "; " +
        rounded(100 * drift_.bulk_share(), "%.1f") +
        " % of them score at or below the calibration's median, Kolmogorov-Smirnov distance there " +
        rounded(drift_.distance(), "%.2g") +
        "): the data have changed, or most rows are anomalous; train again on recent normal rows";
    if (options_.alpha || options_.fdr || options_.watch_drift) {
      reporter_.warning(line);
    } else {
      reporter_.info(line);
    }
  }

  void write_header(const data::TableReader& reader) {
    has_label_ = reader.has_label();
    std::string line = "id,score,p_value";
    if (by_tail_) line += ",tail_p_value";
    if (flags()) line += ",flag";
    if (has_label_) line += ",label";
    for (std::size_t k = 1; k <= explained_; ++k) {
      const std::string top = ",top" + std::to_string(k);
      for (const auto* what : {"_column", "_share", "_observed", "_expected"}) line.append(top).append(what);
    }
    output_.write(line + "\n");
    header_written_ = true;
  }

  void score_block(const data::TableReader& reader, const data::Block& block) {
    if (!header_written_) write_header(reader);
    if (options_.world.size == 1) rows_read_ += block.rows;
    const auto batch = model::to_batch(block);
    const auto scored = score::score(checkpoint_.autoencoder(), checkpoint_.head(), batch);
    const std::vector<std::size_t> file_columns =
        explained_ > 0 ? file_columns_of_elements(reader, columns_.size()) : std::vector<std::size_t>();
    std::string text, after;
    for (std::int64_t i = 0; i < block.rows; ++i) {
      const auto row = static_cast<std::size_t>(i);
      if (!filter_.keeps(block.row_numbers[row])) continue;
      const double score = scored.scores[row];
      if (!std::isfinite(score)) {
        throw RunError("row " + std::to_string(block.row_numbers[row]) + ": the score is " + number_text(score) +
                       "; the model is not usable for such values");
      }
      const std::size_t rank = checkpoint_.calibration().below(score);
      const double p_value = checkpoint_.calibration().p_value_of_rank(rank);
      const double tail_p_value = by_tail_ ? checkpoint_.calibration().tail_p_value(score) : p_value;
      count_row(block, row, score, rank);
      const std::size_t start = text.size();
      append_csv_field(text, block.ids.empty() ? std::to_string(block.row_numbers[row]) : block.ids[row]);
      text += ',';
      append_number(text, score);
      text += ',';
      append_number(text, p_value);
      if (by_tail_) {
        text += ',';
        append_number(text, tail_p_value);
      }
      after.clear();
      if (has_label_) {
        after += ',';
        if (!block.labels.empty()) append_csv_field(after, block.labels[row]);
      }
      if (explained_ > 0) explain(after, block, scored, i, file_columns);
      after += '\n';
      if (spool_) {
        ++p_values_[p_value];
        spool_->add(p_value, std::string_view(text).substr(start), after);
        text.resize(start);
        continue;
      }
      if (flags())
        append_flag(text, options_.threshold ? score >= *options_.threshold : tail_p_value <= *options_.alpha);
      text += after;
    }
    output_.write(text);
    output_.flush();  // a block ends where the input makes us wait: answer what is there
  }

  void count_row(const data::Block& block, std::size_t row, double score, std::size_t rank) {
    ++totals_.rows;
    const auto begin = block.observed.begin() + static_cast<std::ptrdiff_t>(row * columns_.size());
    if (std::none_of(begin, begin + static_cast<std::ptrdiff_t>(columns_.size()),
                     [](auto seen) { return seen != 0; })) {
      ++unobserved_;
    } else {
      drift_.add(score, rank);
    }
  }

  void append_flag(std::string& text, bool flagged) {
    text += flagged ? ",1" : ",0";
    totals_.flagged += flagged ? 1 : 0;
  }

  // The columns with the largest shares, largest first; equal shares in column order.
  void explain(std::string& text, const data::Block& block, const score::Scored& scored, std::int64_t row,
               const std::vector<std::size_t>& file_columns) {
    const auto elements = static_cast<std::int64_t>(columns_.size());
    const double* shares = scored.shares.data_ptr<double>() + row * elements;
    const double* expected = scored.expected.data_ptr<double>() + row * elements;
    order_.resize(columns_.size());
    std::iota(order_.begin(), order_.end(), 0);
    std::partial_sort(
        order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(explained_), order_.end(),
        [&](std::int64_t a, std::int64_t b) { return shares[a] != shares[b] ? shares[a] > shares[b] : a < b; });
    for (std::size_t k = 0; k < explained_; ++k) {
      const auto e = order_[k];
      const auto element = static_cast<std::size_t>(e);
      text += ',';
      append_csv_field(text, columns_[element]->name);
      text += ',';
      append_number(text, shares[e]);
      text += ',';
      if (block.observed[static_cast<std::size_t>(row * elements + e)] != 0) {
        append_csv_field(text, cell_text(block.raw(row, file_columns[element])));
      }
      text += ',';
      append_csv_field(text, value_text(*columns_[element], expected[e]));
    }
  }

  void flag_spooled() {
    const double cut = stats::benjamini_hochberg_cut_of_counts(p_values_, *options_.fdr);
    std::string text;
    spool_->replay([&](double p_value, const std::string& before, const std::string& after) {
      text = before;
      append_flag(text, p_value <= cut);
      output_.write(text + after);
    });
  }

  const recipe::Checkpoint& checkpoint_;
  const ScoreOptions& options_;
  Output& output_;
  Reporter& reporter_;
  RowFilter filter_;
  std::vector<const data::Column*> columns_;
  std::size_t explained_;
  bool by_tail_;  // flags go by the extreme-value tail
  stats::DriftMonitor drift_;
  std::unique_ptr<Spool> spool_;
  std::map<double, std::int64_t> p_values_;  // at most one more entry than calibration scores
  std::vector<std::int64_t> order_;
  ScoreTotals totals_;
  std::int64_t rows_read_ = 0;
  std::int64_t unobserved_ = 0;
  bool header_written_ = false;
  bool has_label_ = false;
};

}  // namespace

double threshold_of_summary(const std::filesystem::path& summary) {
  const auto json = nlohmann::json::parse(read_file(summary, FileKind::data), nullptr, false);
  const nlohmann::json::json_pointer pointer("/chosen/threshold");
  if (json.is_discarded() || !json.contains(pointer) || !json[pointer].is_number()) {
    throw InputError(summary.string() +
                     ": /chosen/threshold: not found; expected the summary.json that ae-roc --summary writes");
  }
  return json[pointer].get<double>();
}

ScoreTotals score_table(const recipe::Checkpoint& checkpoint, const ScoreOptions& options, Output& output,
                        Reporter& reporter) {
  return TableScorer(checkpoint, options, output, reporter).run();
}

}  // namespace ae::apply
