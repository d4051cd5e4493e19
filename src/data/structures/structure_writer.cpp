#include "data/structures/structure_writer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "base/error.hpp"
#include "base/scratch_folder.hpp"
#include "base/text.hpp"
#include "data/bytes/npy.hpp"

namespace ae::data {
namespace {

using geometry::Backbone;
using geometry::BackboneResidue;
using geometry::kBackboneAtoms;
using geometry::Point;

constexpr std::size_t kResidueBytes = kBackboneAtoms * 3 * sizeof(double);

void append_double(std::string& bytes, double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int byte = 0; byte < 8; ++byte) bytes += static_cast<char>(bits >> 8 * byte & 0xff);
}

// How many residues a row has is known last; until then they wait in a file without padding.
class NpyStructures final : public StructureWriter {
 public:
  explicit NpyStructures(Output& output) : output_(output), waiting_(scratch_folder()) {}

  void add(const Backbone& backbone, std::int64_t) override {
    std::string bytes;
    for (const auto& residue : backbone.residues)
      for (std::size_t a = 0; a < kBackboneAtoms; ++a)
        for (const double axis : residue.atoms[a])
          append_double(bytes, residue.observed[a] ? axis : std::numeric_limits<double>::quiet_NaN());
    residues_.push_back(backbone.residues.size());
    waiting_.append(bytes.data(), bytes.size());
  }

  void finish() override {
    const auto longest = residues_.empty() ? 0 : *std::ranges::max_element(residues_);
    const std::array<std::int64_t, 4> shape{std::ssize(residues_), static_cast<std::int64_t>(longest),
                                            static_cast<std::int64_t>(kBackboneAtoms), 3};
    output_.write(npy_header(NpyFloat::f8, shape));
    std::string padding;
    for (std::size_t i = 0; i < kBackboneAtoms * 3; ++i)
      append_double(padding, std::numeric_limits<double>::quiet_NaN());
    std::string row;
    std::uint64_t at = 0;
    for (const auto residues : residues_) {
      row.resize(residues * kResidueBytes);
      waiting_.read(at, row.data(), row.size());
      at += row.size();
      output_.write(row);
      for (auto i = residues; i < longest; ++i) output_.write(padding);
    }
  }

 private:
  Output& output_;
  ScratchFile waiting_;
  std::vector<std::size_t> residues_;
};

// Columns of wwpdb.org/documentation/file-format-content/format33/sect9.html.
class PdbStructures final : public StructureWriter {
 public:
  explicit PdbStructures(Output& output) : output_(output) {}

  // Whether there are several models is known with the second; until then the first one waits.
  void add(const Backbone& backbone, std::int64_t model) override {
    if (models_ == 0 || model != model_) {
      if (models_ > 0) end_model();
      ++models_;
      serial_ = 0;
      model_ = model;
    }
    text_ += chain(backbone);
  }

  void finish() override {
    if (models_ > 1)
      end_model();
    else
      output_.write(text_);
    output_.write("END\n");
  }

 private:
  void end_model() {
    output_.write("MODEL " + right_aligned(std::to_string(models_), 8) + "\n" + text_ + "ENDMDL\n");
    text_.clear();
  }

  static std::string right_aligned(const std::string& text, std::size_t width) {
    return std::string(width - std::min(width, text.size()), ' ') + text;
  }

  [[noreturn]] static void refuse(const Backbone& backbone, const std::string& what) {
    throw InputError("chain " + ae::quoted(backbone.id) + ": " + what +
                     ", for which PDB has no room; write .npy instead");
  }

  // The name of a chain of a molecule; "A" of rows of arrays. A further part of a chain, "A(2)", goes under its name.
  static char letter_of(const Backbone& backbone) {
    const bool of_array = std::ranges::none_of(backbone.residues, [](const auto& r) { return !r.label.empty(); });
    if (of_array) return 'A';
    const auto name = backbone.id.substr(0, backbone.id.find('('));
    if (name.size() > 1) refuse(backbone, "a name of " + std::to_string(name.size()) + " letters");
    return name.empty() ? ' ' : name.front();
  }

  std::string chain(const Backbone& backbone) {
    std::string text;
    const char letter = letter_of(backbone);
    for (std::size_t i = 0; i < backbone.residues.size(); ++i) {
      const auto& residue = backbone.residues[i];
      for (std::size_t a = 0; a < kBackboneAtoms; ++a)
        if (residue.observed[a]) text += atom(backbone, i, letter, geometry::kBackboneNames[a], residue.atoms[a]);
      if (residue.cb) text += atom(backbone, i, letter, "CB", *residue.cb);
    }
    return text + "TER\n";
  }

  std::string atom(const Backbone& backbone, std::size_t i, char letter, std::string_view name, const Point& at) {
    constexpr int kMostNumber = 9999, kMostSerial = 99'999;
    auto number = backbone.label(i);
    char insertion = ' ';
    if (!number.empty() && (number.back() < '0' || number.back() > '9')) {
      insertion = number.back();
      number.pop_back();
    }
    const auto type = backbone.residues[i].type.empty() ? std::string("UNK") : backbone.residues[i].type;
    if (number.size() > 4 || std::atoi(number.c_str()) > kMostNumber) refuse(backbone, "residue " + number);
    if (type.size() > 3) refuse(backbone, "residue type " + ae::quoted(type));
    for (const double axis : at)
      if (axis < -999.9994 || axis > 9999.9994) refuse(backbone, "coordinate " + number_text(axis));
    serial_ = serial_ % kMostSerial + 1;
    std::array<char, 96> line{};
    const int size = std::snprintf(line.data(), line.size(),
                                   "ATOM  %5d  %-3.*s %3s %c%4s%c   %8.3f%8.3f%8.3f  1.00  0.00          %2c\n",
                                   serial_, static_cast<int>(name.size()), name.data(), type.c_str(), letter,
                                   number.c_str(), insertion, at[0], at[1], at[2], name.front());
    return {line.data(), static_cast<std::size_t>(size)};
  }

  Output& output_;
  std::string text_;  // of the last model
  std::int64_t model_ = 0, models_ = 0;
  int serial_ = 0;
};

enum class Format { none, npy, pdb };
Format format_of(const std::string& path) {
  const auto name = lower_case(path);
  return name.ends_with(".npy") ? Format::npy : name.ends_with(".pdb") ? Format::pdb : Format::none;
}

}  // namespace

void check_structure_name(const std::string& path) {
  if (format_of(path) == Format::none)
    throw UsageError(ae::quoted(path, 200) +
                     ": structures are written as NPY or PDB; expected a name that ends in .npy or .pdb");
}

std::unique_ptr<StructureWriter> make_structure_writer(Output& output) {
  check_structure_name(output.path().string());
  if (format_of(output.path().string()) == Format::npy) return std::make_unique<NpyStructures>(output);
  return std::make_unique<PdbStructures>(output);
}

}  // namespace ae::data
