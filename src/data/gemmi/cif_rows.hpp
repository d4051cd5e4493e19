// Rows of a loop of a CIF file, as texts. C++17: with a standard library of C++20, Clang 14 does not compile what gemmi
// 0.5 keeps a document in.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace ae::data::molecules {

struct CifRows {
  std::size_t count = 0;
  bool more_blocks = false;  // which have such rows, too
};

// Calls `take` with the cells of each row of `category` ("_atom_site.") of the first data block that has any, one a
// tag: "" where there is no value ("." or "?"), or, of a tag that begins with "?", no such column. An exception of the
// library, derived from std::exception, when the text is no CIF; its message begins with `name`.
CifRows for_each_cif_row(const std::string& text, const std::string& name, const std::string& category,
                         const std::vector<std::string>& tags,
                         const std::function<void(const std::vector<std::string>&)>& take);

}  // namespace ae::data::molecules
