// What stands in a CIF file, as texts. C++17: with a standard library of C++20, Clang 14 does not compile what gemmi
// 0.5 keeps a document in.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace ae::data::molecules {

// A data block.
class CifBlock {
 public:
  using Cells = std::vector<std::string>;
  virtual ~CifBlock() = default;
  virtual const std::string& name() const = 0;
  // Calls `take` with the cells of each row of `category` ("_atom_site."), one a tag: "" where there is no value ("."
  // or "?"), or, of a tag that begins with "?", no such column. Returns how many rows there are; 0 without the others.
  virtual std::size_t rows(const std::string& category, const std::vector<std::string>& tags,
                           const std::function<void(const Cells&)>& take) const = 0;
};

// Calls `take` with each block until it returns false. An exception of the library, derived from std::exception, when
// the text is no CIF; its message begins with `name`.
void for_each_cif_block(const std::string& text, const std::string& name,
                        const std::function<bool(const CifBlock&)>& take);

}  // namespace ae::data::molecules
