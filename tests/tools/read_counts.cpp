// What the readers make of a matrix of counts, as JSON for tests to compare with other programs' view of it.
//   read_counts PATH [OPTION=VALUE ...]     options: those of data::CountFormat, and label
// The exit code and the line on standard error of what goes wrong are those of the programs.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "data/counts/readers.hpp"
#include "data/hdf5/count_files.hpp"

namespace {

class Told final : public ae::Reporter {
 public:
  void info(std::string_view line) override { lines.emplace_back(line); }
  void detail(std::string_view) override {}
  void warning(std::string_view line) override { lines.emplace_back("warning: " + std::string(line)); }
  void progress(std::string_view, std::uint64_t, std::uint64_t, std::string_view) override {}
  void progress_done() override {}
  std::vector<std::string> lines;
};

nlohmann::json read(const std::string& path, const ae::data::CountFormat& format, const std::string& label) {
  using namespace ae::data;
  constexpr std::array kReaders{&kHdf5Counts, &kMatrixMarketFolder, &kMatrixMarketFile, &kCountTable};
  Told told;
  const auto source = open_counts(path, kReaders, format, told);
  CellCounts counts;  // in parts, as programs read them
  for (std::int64_t begin = 0; begin < source->cells(); begin += 7)
    source->read(begin, std::min(begin + 7, source->cells()), counts);
  source->report(told);
  nlohmann::json json{{"cells", source->cells()}, {"names", source->cell_names()}, {"genes", source->genes()},
                      {"begins", counts.begins},  {"indices", counts.genes},       {"counts", counts.counts},
                      {"told", told.lines}};
  if (label.empty()) return json;
  const CellTexts texts = source->annotation(label);
  for (std::int64_t cell = 0; cell < source->cells(); ++cell) json["label"].push_back(texts.text(cell));
  return json;
}

}  // namespace

int main(int count, char** arguments) {
  ae::data::CountFormat format;
  std::string label;
  const std::map<std::string, std::string*> options{
      {"orientation", &format.orientation},   {"layer", &format.layer},   {"gene_names", &format.gene_names},
      {"feature_type", &format.feature_type}, {"genome", &format.genome}, {"label", &label}};
  for (int i = 2; i < count; ++i) {
    const std::string argument = arguments[i];
    const auto equals = argument.find('=');
    *options.at(argument.substr(0, equals)) = argument.substr(equals + 1);
  }
  try {
    std::cout << read(arguments[1], format, label).dump() << '\n';
  } catch (const ae::Error& error) {
    for (const auto& line : error.lines()) std::cerr << "error: " << line << '\n';
    return static_cast<int>(error.code());
  }
  return 0;
}
