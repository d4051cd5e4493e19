// What is known of a blur, from files: pairs of truth and observation, or mean and deviation as functions of the truth.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/reporter.hpp"
#include "fit/free_energy.hpp"

namespace ae::fit {

struct PairReading {
  std::string file;
  std::vector<std::string> variables;        // of the COLVAR files: what the observed columns may be called as well
  std::vector<std::string> truth, observed;  // columns; by their usual names if empty
  std::string weight;                        // likewise
  std::vector<std::string> biases;           // of the COLVAR files; read from pairs that have all of them and no weight
  double kt = 1;
};

struct ReadPairs {
  CalibrationPairs pairs;
  bool weighted = false;
  std::int64_t left_out = 0;  // with a cell that is not finite, or without weight
};

// A table, or a COLVAR file. Columns are `true` and `observed` (of two variables `true1`, `true2`, `observed1`,
// `observed2`), or as named; the observed ones may bear the names of the variables; `weight` may be there, or the
// columns of the bias, of which e^{V / kT} is the weight. InputError for what is missing or no number.
ReadPairs read_pairs(const PairReading& reading, Reporter& reporter);

// Mean and deviation at a true value, by straight lines between rows of a table with the columns `x`, `sigma` and,
// where the mean is not x, `mean`; beyond the rows sigma stays and the mean goes on by the last line. InputError unless
// x rises and sigma is not negative. Or those of an error model (see error_model.hpp), of what `variable` names,
// InputError when it has no blur of that.
class BlurTable {
 public:
  BlurTable(const std::string& file, const std::string& variable, Reporter& reporter);
  NormalError operator()(double truth) const;
  double low() const { return x_.front(); }
  double high() const { return x_.back(); }

 private:
  void read_table(const std::string& file, Reporter& reporter);
  void read_model(const std::string& file, const std::string& variable);
  std::vector<double> x_, mean_, deviation_;
};

}  // namespace ae::fit
