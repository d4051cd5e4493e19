#include "fit/encoded_columns.hpp"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "base/child_process.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/temporary_folder.hpp"
#include "base/text.hpp"
#include "evaluate/score_reader.hpp"
#include "fit/numbers.hpp"

namespace ae::fit {
namespace {

using evaluate::ScoreReader;

void write_rows(const ProbeTable& table, std::span<const std::int64_t> rows, const std::filesystem::path& path) {
  Output output = Output::open(path, false);
  std::string line = "id";
  for (const auto& name : table.text_names) {
    line += ',';
    append_csv_field(line, name);
  }
  output.write(line + "\n");
  const std::size_t width = table.text_names.size();
  for (const auto row : rows) {
    const auto r = static_cast<std::size_t>(row);
    line.clear();
    append_csv_field(line, table.ids[r]);
    for (std::size_t c = 0; c < width; ++c) {
      line += ',';
      append_csv_field(line, table.texts[r * width + c]);
    }
    output.write(line + "\n");
  }
  output.commit();
}

// z0, z1, ..., of several networks m0_z0, m0_z1, ..., as ae-embed names the numbers of a code. The label that it writes
// beside them, where the config names one, may be what is to be predicted.
bool is_code_name(std::string_view name) {
  const auto take_number = [&](char letter) {
    const auto end = std::min(name.find_first_not_of("0123456789", 1), name.size());
    if (name.empty() || name.front() != letter || end == 1) return false;
    name.remove_prefix(end);
    return true;
  };
  if (take_number('m')) {
    if (!name.starts_with('_')) return false;
    name.remove_prefix(1);
  }
  return take_number('z') && name.empty();
}

// The numbers of all rows in one file, in the order of the ids.
class RowsById {
 public:
  explicit RowsById(const std::vector<std::string>& ids) : ids_(ids) {
    for (std::size_t i = 0; i < ids.size(); ++i) row_of_[ids[i]] = static_cast<Eigen::Index>(i);
  }

  void add_codes(const std::filesystem::path& path, Columns& columns) const { add(path, is_code_name, columns); }
  void add_losses(const std::filesystem::path& path, Columns& columns) const {
    add(
        path, [](std::string_view name) { return name == "score"; }, columns);
    columns.names.back() = kLossColumn;
  }

 private:
  void add(const std::filesystem::path& path, const std::function<bool(std::string_view)>& wanted_name,
           Columns& columns) const {
    SilentReporter silent;
    ScoreReader reader(path, silent);
    const std::size_t id = reader.require("id", "ids", "--id-column");
    std::vector<std::size_t> wanted;
    for (std::size_t c = 0; c < reader.rows().columns().size(); ++c)
      if (wanted_name(reader.rows().columns()[c])) wanted.push_back(c);
    const auto first = static_cast<Eigen::Index>(columns.names.size());
    for (const auto c : wanted) {
      columns.names.push_back(reader.rows().columns()[c]);
      columns.controls.push_back(false);
    }
    const auto width = static_cast<Eigen::Index>(wanted.size());
    columns.values.conservativeResize(static_cast<Eigen::Index>(ids_.size()), first + width);
    const Numbers numbers({}, MissingCells::stop);
    std::size_t met = 0;
    for (; reader.next(); ++met) {
      const auto found = row_of_.find(std::string(reader.text(id)));
      if (found == row_of_.end() || met == ids_.size()) refuse(path);
      for (Eigen::Index c = 0; c < width; ++c)
        columns.values(found->second, first + c) = numbers.predictor(reader, wanted[static_cast<std::size_t>(c)]);
    }
    if (met != ids_.size() || width == 0) refuse(path);
  }

  [[noreturn]] static void refuse(const std::filesystem::path& path) {
    throw InputError(path.filename().string() +
                     ": its rows are not those that were asked for; expected the ids of all "
                     "rows, once each, and their codes (z0, z1, ...) or scores");
  }

  const std::vector<std::string>& ids_;
  std::unordered_map<std::string, Eigen::Index> row_of_;
};

}  // namespace

EncodedColumns::EncodedColumns(const ProbeTable& table, const EncoderOptions& options)
    : table_(table), options_(options), train_(find_program("ae-train")), embed_(find_program("ae-embed")) {
  if (options.loss) score_ = find_program("ae-score");
  refuse_rows();
}

// With what the config extends, which only ae-train knows.
void EncodedColumns::refuse_rows() const {
  const TemporaryFolder folder("ae-probe-");
  const auto file = folder.path() / "config.json";
  auto arguments = of_config();
  arguments.emplace_back("--print-config");
  run_program(train_, arguments, options_.name, file);
  const auto config = nlohmann::json::parse(read_file(file, FileKind::config));
  if (config.value("/data/rows"_json_pointer, std::string()).empty()) return;
  throw UsageError(options_.config.string() +
                   ": /data/rows gives rows by number, which are others in the table of a fold; leave the other rows "
                   "out of the table, and add " +
                   options_.set_option + " /data/rows=");
}

std::vector<std::string> EncodedColumns::of_config() const {
  std::vector<std::string> arguments{options_.config.string()};
  for (const auto& setting : options_.settings) arguments.insert(arguments.end(), {"--set", setting});
  return arguments;
}

Columns EncodedColumns::columns(std::int32_t repeat, std::int32_t fold, std::span<const std::int64_t> training) const {
  return encoded(training,
                 options_.name + " of fold " + std::to_string(fold + 1) + " of division " + std::to_string(repeat + 1));
}

Columns EncodedColumns::transductive() const {
  std::vector<std::int64_t> all(table_.ids.size());
  std::iota(all.begin(), all.end(), 0);
  return encoded(all, options_.name + " of all rows");
}

Columns EncodedColumns::encoded(std::span<const std::int64_t> training, const std::string& what) const {
  const TemporaryFolder folder("ae-probe-");
  const auto file = [&](const char* name) { return (folder.path() / name).string(); };
  std::vector<std::int64_t> all(table_.ids.size());
  std::iota(all.begin(), all.end(), 0);
  write_rows(table_, training, file("training.csv"));
  write_rows(table_, all, file("rows.csv"));
  auto arguments = of_config();
  arguments.insert(arguments.end(), {"--set", "/data/id=\"id\"", "--data", file("training.csv"), "--out", file("model"),
                                     "--threads", "1", "-q"});
  run_program(train_, arguments, what);
  const auto answer = [&](const std::filesystem::path& program, const char* output) {
    run_program(program, {file("model"), file("rows.csv"), "-o", file(output), "--threads", "1", "-q"}, what);
  };
  answer(embed_, "codes.csv");
  if (options_.loss) answer(score_, "scores.csv");
  Columns columns;
  const RowsById rows(table_.ids);
  rows.add_codes(file("codes.csv"), columns);
  if (options_.loss) rows.add_losses(file("scores.csv"), columns);
  columns.append(table_.columns);  // the controls
  return columns;
}

}  // namespace ae::fit
