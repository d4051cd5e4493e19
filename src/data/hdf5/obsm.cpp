#include "data/hdf5/obsm.hpp"

#include <limits>
#include <memory>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/hdf5/file.hpp"
#include "data/hdf5/frame.hpp"

namespace ae::data {
namespace {

std::vector<double> numbers_at(const Hdf5File& file, const std::string& place, std::size_t cells) {
  const auto [values, missing] = masked_at(file, place, "numbers");
  auto numbers = values.numbers();
  if (numbers.size() != cells) file.fail(place, "has another length than there are cells; the file is damaged");
  for (std::size_t i = 0; i < missing.size(); ++i)
    if (missing[i] != 0) numbers[i] = std::numeric_limits<double>::quiet_NaN();
  return numbers;
}

[[noreturn]] void refuse_nameless(const Hdf5File& file, const std::string& name) {
  const std::string of_python = "a.obsm[\"" + printable(name) + "\"]";
  throw UsageError(file.name() + ": the columns of obsm/" + printable(name) +
                   " have no names; make it a data frame, as in Python by " + of_python + " = pandas.DataFrame(" +
                   of_python + ", a.obs_names, NAMES)");
}

constexpr const char* kNamesPlace = "uns/protein_names";  // as scvi-tools has them

// The columns' names of an array, where they are known.
std::vector<std::string> names_of_columns(const Hdf5File& file, const Hdf5Dataset& array) {
  if (array.shape().size() != 2 || file.node(kNamesPlace) != Hdf5File::Node::dataset) return {};
  const auto names = file.dataset(kNamesPlace);
  if (names.type() != Hdf5Dataset::Type::text || names.shape() != std::vector{array.shape()[1]}) return {};
  return names.texts();
}

}  // namespace

MeasuredCells open_obsm(const std::filesystem::path& path, const std::string& name) {
  const auto file = std::make_shared<const Hdf5File>(path);
  const std::string place = "obsm/" + name;
  if (name.empty() || name.find('/') != std::string::npos || !file->has(place)) {
    const auto choices = file->members("obsm");
    throw UsageError(file->name() + ": obsm has no " + ae::quoted(name) + did_you_mean(name, choices) +
                     "; it has: " + (choices.empty() ? "none" : join(choices)));
  }
  MeasuredCells measured;
  measured.name = file->name() + " (" + place + ")";
  if (file->node(place) == Hdf5File::Node::group) {
    if (file->text_attribute(place, "encoding-type") != "dataframe") refuse_nameless(*file, name);
    measured.cells = read_index(*file, place);
    measured.columns = file->texts_attribute(place, "column-order");
    measured.values = [file, place, columns = measured.columns, cells = measured.cells.size()](std::size_t column) {
      return numbers_at(*file, place + "/" + columns[column], cells);
    };
    return measured;
  }
  const auto array = file->dataset(place);
  measured.cells = read_index(*file, "obs");
  measured.columns = names_of_columns(*file, array);
  if (measured.columns.empty()) refuse_nameless(*file, name);
  // Told, as another array may happen to be as wide.
  measured.name = file->name() + " (" + place + ", columns named by " + kNamesPlace + ")";
  if (array.type() == Hdf5Dataset::Type::text || array.type() == Hdf5Dataset::Type::other)
    array.fail("does not hold numbers");
  if (array.size() != std::ssize(measured.cells)) array.fail("has another length than there are cells");
  const std::size_t width = measured.columns.size();
  std::vector<double> all(measured.cells.size() * width);
  array.read_records(0, all);
  measured.values = [all = std::move(all), width](std::size_t column) {
    std::vector<double> values;
    for (std::size_t at = column; at < all.size(); at += width) values.push_back(all[at]);
    return values;
  };
  return measured;
}

}  // namespace ae::data
