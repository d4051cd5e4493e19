// What the readers make of a matrix of counts, as JSON for tests to compare with other programs' view of it.
//   read_counts PATH [OPTION=VALUE ...]     options: those of data::CountFormat, and label
// With output=FILE it writes half of each count there instead, or, with whole=1, twice as much; sparse=1 writes only
// what is not 0 and says so, add=NUMBER adds something to all values, name=LAYER names them. The exit code and the line
// on standard error of what goes wrong are those of the programs.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "data/counts/readers.hpp"
#include "data/counts/writer.hpp"
#include "data/hdf5/count_files.hpp"
#include "data/hdf5/h5ad.hpp"

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

constexpr std::array kReaders{&ae::data::kHdf5Counts, &ae::data::kMatrixMarketFolder, &ae::data::kMatrixMarketFile,
                              &ae::data::kCountTable};
constexpr std::array kWriters{&ae::data::kCsvMatrix, &ae::data::kTsvMatrix, &ae::data::kMatrixMarket,
                              &ae::data::kNpyMatrix, &ae::data::kH5adMatrix};

struct Writing {
  std::string output, whole, sparse, add, name;
};

void write(const std::string& path, const ae::data::CountFormat& format, const Writing& writing) {
  using namespace ae::data;
  Told told;
  const auto source = open_counts(path, kReaders, format, told);
  ae::Output output = ae::Output::open(writing.output, true);
  MatrixAbout about{*source, path, format.layer};
  if (!writing.name.empty()) about.layer = writing.name;
  about.whole = !writing.whole.empty();
  about.sparse = !writing.sparse.empty();
  const auto writer = make_matrix_writer(output, about, kWriters);
  const float factor = about.whole ? 2 : 0.5f, add = writing.add.empty() ? 0 : std::stof(writing.add);
  for (std::int64_t cell = 0; cell < source->cells(); ++cell) {
    CellCounts counts;
    source->read(cell, cell + 1, counts);
    for (float& count : counts.counts) count = count * factor + add;
    if (about.sparse) {
      writer->add_sparse(counts.genes, counts.counts);
      continue;
    }
    std::vector<float> values(source->genes().size(), add);
    for (std::size_t i = 0; i < counts.genes.size(); ++i)
      values[static_cast<std::size_t>(counts.genes[i])] = counts.counts[i];
    writer->add(values);
  }
  writer->finish();
  output.commit();
}

nlohmann::json read(const std::string& path, const ae::data::CountFormat& format, const std::string& label) {
  using namespace ae::data;
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
  Writing writing;
  const std::map<std::string, std::string*> options{{"orientation", &format.orientation},
                                                    {"layer", &format.layer},
                                                    {"gene_names", &format.gene_names},
                                                    {"feature_type", &format.feature_type},
                                                    {"genome", &format.genome},
                                                    {"label", &label},
                                                    {"output", &writing.output},
                                                    {"whole", &writing.whole},
                                                    {"sparse", &writing.sparse},
                                                    {"add", &writing.add},
                                                    {"name", &writing.name}};
  for (int i = 2; i < count; ++i) {
    const std::string argument = arguments[i];
    const auto equals = argument.find('=');
    *options.at(argument.substr(0, equals)) = argument.substr(equals + 1);
  }
  try {
    if (!writing.output.empty()) {
      write(arguments[1], format, writing);
      return 0;
    }
    std::cout << read(arguments[1], format, label).dump() << '\n';
  } catch (const ae::Error& error) {
    for (const auto& line : error.lines()) std::cerr << "error: " << line << '\n';
    return static_cast<int>(error.code());
  }
  return 0;
}
