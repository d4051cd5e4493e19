// An independent witness of imputation: something else that was measured in the same cells, such as surface proteins.
// Does a gene agree with it better after imputation than before? No held-out score sees a gene that imputation spoils.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/reporter.hpp"
#include "data/counts/readers.hpp"
#include "evaluate/evaluation.hpp"

namespace ae::fit {

// Pearson's correlation of the ranks, equal values sharing the mean of theirs (Spearman 1904). Both finite, of one
// size. NaN when one of them does not vary.
double spearman(std::span<const double> a, std::span<const double> b);

struct WitnessPair {
  std::string gene, column;
};
// "GENE=COLUMN"; the first "=" divides. UsageError for texts without one.
std::vector<WitnessPair> witness_pairs(const std::vector<std::string>& texts);
// A file of such texts, one a line; blank lines and those that begin with # are left out.
std::vector<WitnessPair> read_witness_pairs(const std::filesystem::path& path);

struct WitnessReading {
  std::filesystem::path path;
  std::optional<std::string> id = {};   // of a table, its id column; none = "id" if there is one, else the first
  std::string obsm = {};                // of AnnData's .h5ad, what of obsm is the witness; "" = X
  std::vector<WitnessPair> pairs = {};  // none = genes and columns of the same name
};

struct WitnessOptions {
  std::uint64_t seed = 0;
  std::int64_t resamples = 1000;  // of cells, for the intervals; 0 = none
  double confidence = 0.95;       // of each interval by itself
};

struct WitnessedGene {
  WitnessPair pair;
  std::int64_t cells = 0;         // with a value of the witness
  double before = 0, after = 0;   // Spearman correlation; NaN when the gene or the witness does not vary
  double difference = 0;          // after - before; NaN when one is
  evaluate::Interval interval{};  // of the difference: percentiles of a bootstrap over cells; NaN without one
  bool spoiled() const { return interval.high < 0; }
  bool improved() const { return interval.low > 0; }
};

struct WitnessResult {
  std::string name;
  std::vector<WitnessedGene> genes;        // in the order of the pairs
  std::int64_t cells = 0;                  // matched by id
  std::int64_t not_in_witness = 0;         // cells that were imputed and the witness does not know
  std::int64_t gained = 0, lost = 0;       // genes by the sign of the difference; 0 counts as neither
  double sign_test = 1;                    // exact two-sided binomial p of so uneven a split, if both were as likely
  double mean_before = 0, mean_after = 0;  // over genes with both; NaN without any
  WitnessOptions options;
  std::vector<std::string> spoiled() const;  // genes whose interval lies below 0
};

// Reads the witness when made, and then takes cells in any order and in any blocks. Kept in memory are its paired
// columns, and of each matched cell two numbers a pair.
class Witness {
 public:
  // `genes`: the names of what add() gets, in its order. What one of `readers` reads is a matrix of counts with cells
  // by name, or has an obsm; all else is a table, in which empty cells and the usual texts for them are missing.
  // UsageError for pairs whose gene or column is not there, and where no name is common; InputError for what is wrong
  // with the file, ids that are there twice included.
  Witness(const WitnessReading& how, std::vector<std::string> genes, std::span<const data::CountReader* const> readers,
          Reporter& reporter);

  // One cell before and after imputation: [genes], finite. InputError for an id that came before.
  void add(const std::string& id, std::span<const float> before, std::span<const float> after);

  // UsageError when cells were added and none was matched. Stop signals end it by Interrupted.
  WitnessResult finish(const WitnessOptions& options, Reporter& reporter) const;

 private:
  struct Paired {
    WitnessPair pair;
    std::size_t gene = 0;
  };
  struct Series {  // of one pair: cells in the order they came, those with a value of the witness
    std::vector<double> witness, before, after;
  };
  struct Known {
    std::size_t row = 0;
    bool met = false;
  };
  void pair_up(const WitnessReading& how, const std::vector<std::string>& columns);
  void read_table(const WitnessReading& how, Reporter& reporter);
  void read_counts(const WitnessReading& how, std::span<const data::CountReader* const> readers, Reporter& reporter);
  void read_obsm(const WitnessReading& how, const data::CountReader& reader);
  void learn_id(std::string id, const std::string& place);

  std::string name_;
  std::vector<std::string> genes_;
  std::vector<Paired> pairs_;
  std::unordered_map<std::string, Known> rows_;
  std::string example_, example_given_;
  std::vector<double> values_;  // [rows, pairs]; NaN = missing
  std::vector<Series> series_;
  std::int64_t matched_ = 0, unknown_ = 0;
};

// gene,column,cells,before,after,difference,low,high: figures that are not known are empty.
std::string witness_csv(const WitnessResult& result);
nlohmann::ordered_json witness_json(const WitnessResult& result);
// A few lines: means, the sign test, and the genes that are spoiled by name.
std::string witness_text(const WitnessResult& result);

}  // namespace ae::fit
