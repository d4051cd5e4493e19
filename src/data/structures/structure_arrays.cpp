#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"
#include "data/structures/structures.hpp"

namespace ae::data {
namespace {

using geometry::kBackboneAtoms;
using geometry::kResidueNumbers;

constexpr std::int64_t kAxes = 3;

bool ends_as_residues_do(const ArrayInfo& array) {
  const auto& shape = array.shape;
  const auto dimensions = shape.size();
  return (dimensions == 3 || dimensions == 4) && shape[dimensions - 2] == static_cast<std::int64_t>(kBackboneAtoms) &&
         shape[dimensions - 1] == kAxes;
}

const ArrayInfo& coordinates_of(const ArrayFile& file) {
  if (const auto* xyz = file.find("xyz")) return *xyz;
  std::vector<std::string> there, fitting;
  const ArrayInfo* found = nullptr;
  for (const auto& array : file.arrays()) {
    there.push_back(described(array));
    if (!ends_as_residues_do(array)) continue;
    fitting.push_back(described(array));
    found = &array;
  }
  if (fitting.size() > 1)
    throw InputError(file.name() + ": found several arrays of coordinates: " + ae::join(fitting) +
                     "; expected one, or one that is called xyz");
  if (found != nullptr) return *found;
  throw InputError(file.name() + ": found " + ae::join(there) +
                   "; expected coordinates (structures, residues, 4, 3) of N, CA, C and O in Angstrom");
}

// They would be lost: whole numbers that are not one a residue, by another name.
void refuse_other_offsets(const ArrayFile& file, std::int64_t residues) {
  for (const auto& array : file.arrays()) {
    const bool whole = array.type.find('i') < array.type.size() || array.type.find('u') < array.type.size();
    if (!whole || array.shape.size() != 1 || array.shape[0] == residues) continue;
    throw InputError(file.name() + ": found " + described(array) + " beside " + std::to_string(residues) +
                     " residues; expected no such array, or offset, which tells where each structure begins; rename "
                     "it, or leave it out");
  }
}

// The offset array tells where each structure of a long array of residues begins, and where the last one ends.
std::vector<std::int64_t> read_offsets(const ArrayFile& file, std::int64_t residues) {
  const auto* array = file.find("offset");
  if (array == nullptr) {
    refuse_other_offsets(file, residues);
    return {0, residues};
  }
  const auto fail = [&](const std::string& what) -> InputError {
    return InputError(file.name() + "[offset]: " + what + "; expected whole numbers that ascend from 0 to " +
                      std::to_string(residues) + ", the number of residues");
  };
  if (array->shape.size() != 1 || array->shape[0] < 2 || array->shape[0] - 1 > residues)
    throw fail("found shape " + described(*array));
  std::vector<double> numbers(static_cast<std::size_t>(array->shape[0]));
  const auto stream = file.open(*array);
  stream->read(numbers);
  stream->finish();
  std::vector<std::int64_t> offsets;
  for (const double number : numbers) {
    const bool ascends = number == std::floor(number) && number >= 0 && number <= static_cast<double>(residues) &&
                         (offsets.empty() ? number == 0 : number > static_cast<double>(offsets.back()));
    if (!ascends) throw fail("found " + number_text(number));
    offsets.push_back(static_cast<std::int64_t>(number));
  }
  if (offsets.back() != residues) throw fail("it ends at " + std::to_string(offsets.back()));
  return offsets;
}

class StructureArrays final : public Structures {
 public:
  explicit StructureArrays(std::unique_ptr<ArrayFile> file) : file_(std::move(file)) {
    const auto& array = coordinates_of(*file_);
    if (!ends_as_residues_do(array) || elements_of_shape(array.shape) <= 0)
      throw InputError(file_->name() + ": found " + described(array) +
                       "; expected (structures, residues, 4, 3): N, CA, C and O in Angstrom");
    const bool single = array.shape.size() == 3;
    if (single) {
      offsets_ = read_offsets(*file_, array.shape[0]);
      count_ = std::ssize(offsets_) - 1;
    } else {
      if (file_->find("offset") != nullptr)
        throw InputError(file_->name() + ": found offset beside " + described(array) +
                         ", whose rows are structures; expected offset beside (residues, 4, 3); leave it out");
      count_ = array.shape[0];
      residues_ = array.shape[1];
    }
    for (std::int64_t i = 0; i < (single ? count_ : 1); ++i) check_size(residues_of(i));
    stream_ = file_->open(array);
  }

  bool next(geometry::Backbone& backbone) override {
    if (given_ == count_) {
      if (!finished_) stream_->finish();
      finished_ = true;
      return false;
    }
    numbers_.resize(static_cast<std::size_t>(residues_of(given_) * kResidueNumbers));
    stream_->read(numbers_);
    backbone.id = std::to_string(given_);
    fill(backbone.residues);
    ++given_;
    return true;
  }

 private:
  std::int64_t residues_of(std::int64_t structure) const {
    const auto at = static_cast<std::size_t>(structure);
    return offsets_.empty() ? residues_ : offsets_[at + 1] - offsets_[at];
  }

  void check_size(std::int64_t residues) const {
    if (residues <= kMostRecordElements / kResidueNumbers) return;
    throw InputError(file_->name() + ": a structure of " + std::to_string(residues) + " residues, expected at most " +
                     std::to_string(kMostRecordElements / kResidueNumbers));
  }

  void fill(std::vector<geometry::BackboneResidue>& residues) const {
    residues.assign(numbers_.size() / kResidueNumbers, {});
    const double* number = numbers_.data();
    bool before = false;
    for (auto& residue : residues) {
      for (std::size_t a = 0; a < kBackboneAtoms; ++a) {
        for (auto& axis : residue.atoms[a]) axis = *number++;
        residue.observed[a] = std::ranges::none_of(residue.atoms[a], [](double axis) { return std::isnan(axis); });
        if (!residue.observed[a]) continue;
        for (const double axis : residue.atoms[a]) check(axis);
      }
      const bool any = std::ranges::count(residue.observed, true) > 0;
      residue.follows = before && any;
      before = any;
    }
  }

  void check(double axis) const {
    if (!(std::abs(axis) <= geometry::kMostCoordinate))
      check_coordinate(axis, file_->name() + ": structure " + std::to_string(given_));
  }

  std::unique_ptr<ArrayFile> file_;
  std::unique_ptr<ArrayStream> stream_;
  std::vector<std::int64_t> offsets_;
  std::int64_t count_ = 0, residues_ = 0, given_ = 0;
  bool finished_ = false;
  std::vector<double> numbers_;
};

}  // namespace

std::unique_ptr<Structures> open_structure_arrays(std::unique_ptr<ArrayFile> file) {
  return std::make_unique<StructureArrays>(std::move(file));
}

void check_coordinate(double value, const std::string& place) {
  if (std::abs(value) <= geometry::kMostCoordinate) return;
  throw InputError(place + ": coordinate " + number_text(value) + "; expected Angstrom within " +
                   number_text(geometry::kMostCoordinate) + " of 0, or NaN for an atom that is missing");
}

}  // namespace ae::data
