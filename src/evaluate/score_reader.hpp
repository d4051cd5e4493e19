// A table of scores, labels or outcomes as a stream: one row at a time, columns found by name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/reporter.hpp"
#include "data/tables/rows.hpp"

namespace ae::evaluate {

class ScoreReader {
 public:
  ScoreReader(const std::filesystem::path& path, Reporter& reporter);
  ~ScoreReader() { reporter_.progress_done(); }
  ScoreReader(const ScoreReader&) = delete;
  ScoreReader& operator=(const ScoreReader&) = delete;

  std::optional<std::size_t> find(std::string_view column) const;
  // InputError that names what the column is for, the nearest name and the option to name it with.
  std::size_t require(const std::string& column, std::string_view what, std::string_view option) const;

  bool next();                                      // at the end says what was found out about how the rows are written
  double score(std::size_t column) const;           // InputError when it is no finite number
  std::string_view text(std::size_t column) const;  // trimmed; "" for NaN
  [[noreturn]] void refuse_duplicate(std::size_t column) const;

  const data::RowSource& rows() const { return *rows_; }
  const std::string& name() const { return rows_->name(); }
  std::string where(std::size_t column) const { return rows_->where(column); }

 private:
  [[noreturn]] void refuse_score(std::size_t column, std::string_view text, std::optional<double> number) const;

  std::unique_ptr<data::RowSource> rows_;
  Reporter& reporter_;
  std::int64_t looked_ = 0;
};

// The column `model` that ae-score writes: the digest of the model that gave the row its score.
class ModelColumn {
 public:
  // `mixed_allowed`: rows of several models are warned of instead of refused. A column that is asked for as scores,
  // labels or ids (`taken`), or that holds no digests, is not looked at.
  ModelColumn(const ScoreReader& reader, std::initializer_list<std::string_view> taken, bool mixed_allowed);
  // At each row; InputError for a row of another model than the first one's.
  void look();
  // The model of all rows; "" when they do not say or, then with a warning, when there are several.
  std::string finish(Reporter& reporter) const;

 private:
  const ScoreReader& reader_;
  std::optional<std::size_t> column_;
  bool mixed_allowed_;
  bool any_ = false;
  bool digests_ = false;
  bool mixed_ = false;
  std::string first_;
};

}  // namespace ae::evaluate
