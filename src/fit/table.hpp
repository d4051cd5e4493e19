// Tables of columns to predict from, and of what is to be predicted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "fit/linear_model.hpp"
#include "fit/outcome.hpp"

namespace ae::fit {

// Names of columns; those of one family are given, the others are empty.
struct OutcomeColumns {
  std::string time, event;  // cox: numbers of at least 0; 1, true, yes = event, 0, false, no = censored
  std::string label;        // logistic
  std::string target;       // ridge
  std::string positive;     // of two labels, the one whose probability is predicted; "" = the second in order

  Family family() const;
  std::vector<std::string> names() const;
  void check() const;  // UsageError unless exactly one family is named, and wholly
};

struct ColumnChoice {
  std::vector<std::string> features;  // patterns (* and ?); empty = all that are nothing else
  std::vector<std::string> ignored;   // patterns
  std::vector<std::string> controls;  // names
};

enum class MissingCells {
  stop,  // InputError
  mean,  // NaN, which models take for the mean of their training rows
};

struct TableReading {
  std::filesystem::path table;
  std::optional<std::string> id;  // its id column; none = "id" if there is one, else rows are numbered from 0
  OutcomeColumns outcome;
  std::filesystem::path outcome_table;  // --labels; "" = outcome and controls stand in the table itself
  std::string outcome_id;               // its id column; "" = that of the table
  ColumnChoice columns;
  std::filesystem::path scores;      // a table with ids and one more column to predict from; "" = none
  std::string score = "score";       // that column
  std::vector<std::string> missing;  // further texts of missing cells
  MissingCells missing_cells = MissingCells::stop;
  bool keep_texts = false;
};

inline constexpr const char* kLossColumn = "reconstruction_loss";  // what the column of scores is called

struct ProbeTable {
  std::string name;
  std::vector<std::string> ids;  // of the rows with an outcome, which are those kept
  Columns columns;               // controls last
  Outcome outcome;
  std::int64_t without_outcome = 0;  // rows left out
  // With keep_texts, in place of numbers: the cells of the columns that are no controls, row by row.
  std::vector<std::string> text_names;
  std::vector<std::string> texts;
};

// Ids are compared as texts without blanks around them. InputError with the place for: columns that are not there, ids
// twice, texts where a number belongs, missing cells unless they are to be filled, tables without a common id, an
// outcome that does not vary. Rows without an outcome, and ids without a row, are counted in warnings.
ProbeTable read_probe_table(const TableReading& how, Reporter& reporter);

// Other codes of the rows of `table`, which was read as `how` says: the columns of the table at `path`, matched by id,
// chosen as there but for the scores; then the controls of `table`. InputError as above, and for a row without codes.
Columns read_other_codes(const std::filesystem::path& path, const ProbeTable& table, const TableReading& how,
                         Reporter& reporter);

}  // namespace ae::fit
