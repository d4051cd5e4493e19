// What the readers of molecules and crystals share, and the two formats of molecules, as lists of atoms. InputError, or
// an exception of the library.
#pragma once

#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "data/bytes/source.hpp"
#include "data/gemmi/atoms.hpp"

namespace ae::data::molecules {

// Of the first model.
struct Listing {
  std::vector<ListedChain> chains;
  bool more_models = false;
  bool more_blocks = false;  // of CIF
};

constexpr std::size_t kMostTextBytes = std::size_t{1} << 29;  // decompressed, of a model
InputError too_much_text(const std::string& name);

// The library wants the whole text. InputError when it is too much.
std::string whole_text(ByteSource& source);

// Runs `read`, and makes of what the library says, "NAME:LINE:COLUMN: WHAT" and further lines, an InputError with the
// place first: "cannot be read as `noun`: ...; expected `expected`".
struct Expectation {
  std::string_view noun, expected;
};
InputError not_read(std::string what, const std::string& name, const Expectation& expectation);
template <typename Read>
auto read_by_library(const std::string& name, const Expectation& expectation, const Read& read) {
  try {
    return read();
  } catch (const Error&) {
    throw;
  } catch (const Interrupted&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw not_read(error.what(), name, expectation);
  }
}

// A number behind which a standard uncertainty may stand: 1.23(4). None where `text` is no number.
std::optional<double> cif_number(std::string_view text);

Listing read_pdb(std::unique_ptr<ByteSource> source);
Listing read_mmcif(std::unique_ptr<ByteSource> source);

}  // namespace ae::data::molecules
