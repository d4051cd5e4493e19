// Tables of scores and labels from any bytes: every labelled row once, in one of two classes, or clear errors. The
// first byte chooses what labels mean and whether they stand in a table of their own, which begins behind a byte 0xFF.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "../unit/support/temporary_folder.hpp"
#include "base/error.hpp"
#include "base/reporter.hpp"
#include "evaluate/roc.hpp"
#include "evaluate/score_files.hpp"

namespace {

using namespace ae::evaluate;

void require(bool condition) {
  if (!condition) std::abort();
}

std::filesystem::path file(const char* name, std::string_view bytes) {
  static const ae::test::TemporaryFolder folder;
  const auto path = folder.path() / name;
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

ScoreReading chosen(unsigned choice, std::string_view& document) {
  ScoreReading how;
  if (choice & 1) how.labels.normal = {"0"};
  if (choice & 2) how.labels.anomaly = {"1", "None"};
  how.mixed_models = (choice & 4) != 0;
  if (choice & 8) {
    const auto end = std::min(document.find('\xFF'), document.size());
    how.label_table = file("labels.csv", document.substr(std::min(end + 1, document.size())));
    document = document.substr(0, end);
  }
  return how;
}

void check(const LabeledRows& rows) {
  require(!rows.anomalies.empty() && !rows.normals.empty() && rows.unlabeled >= 0);
  for (const auto* scores : {&rows.anomalies, &rows.normals})
    for (const double score : *scores) require(std::isfinite(score));
  std::size_t in_kinds = 0;
  for (const auto& kind : rows.labels) in_kinds += kind.scores.size();
  require(in_kinds == 0 || in_kinds == rows.anomalies.size());
  for (const auto& row : rows.rows) require(row.label < rows.labels.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view document(reinterpret_cast<const char*>(data) + 1, size - 1);
  const ScoreReading how = chosen(data[0], document);
  const auto path = file("scores.csv", document);
  ae::SilentReporter reporter;
  try {
    const LabeledRows rows = read_labeled_scores(path, how, reporter);
    check(rows);
    // With unique ids the same table is matched with itself.
    const LabeledRows identified = read_labeled_scores(path, how, reporter, {.ids = true, .group_column = ""});
    check(identified);
    require(identified.rows.size() == rows.anomalies.size() + rows.normals.size());
    const std::vector<std::filesystem::path> twice = {path, path};
    const MatchedRows matched = read_matched_scores(twice, how, reporter);
    require(matched.anomalies[0].size() == rows.anomalies.size() && matched.normals[0].size() == rows.normals.size());
    require(matched.anomalies[0] == matched.anomalies[1] && matched.normals[0] == matched.normals[1]);
    require(compare_auroc(matched.anomalies, matched.normals, 0.95)[0].comparison.difference.value == 0);
  } catch (const ae::Error& error) {
    require(!error.lines().empty());
    for (const auto& line : error.lines()) require(!line.empty() && line.find('\n') == std::string::npos);
  }
  return 0;
}
