// The output of several ae-score processes that share nothing but a folder.
#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "apply/score_samples.hpp"
#include "base/world.hpp"

namespace ae::apply {

// Each process writes part-00000.csv and so on; whoever finds that all parts are there says so by the file _SUCCESS.
class Parts {
 public:
  // Creates the folder. UsageError for what several processes cannot do: standard input or output, a false discovery
  // rate, a folder with parts of another run (`overwrite`: of as many processes, these are replaced).
  Parts(const std::string& folder, const ScoreOptions& options, bool overwrite);
  std::filesystem::path own() const { return folder_ / part(world_.rank); }
  void finish() const;  // when the own part is there

 private:
  static std::string part(int rank);
  std::set<std::string> names() const;

  std::filesystem::path folder_;
  World world_;
};

}  // namespace ae::apply
