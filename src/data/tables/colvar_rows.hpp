// COLVAR files of PLUMED as rows: what a simulation prints of its collective variables.
// Format: plumed.org/doc (files): "#! FIELDS time phi ..." names the columns, "#! SET min_phi -pi" sets a constant,
// rows are numbers between blanks, other lines that begin with '#' are comments. A restarted simulation appends to the
// file, with FIELDS again, perhaps in another order.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "data/bytes/source.hpp"
#include "data/tables/rows.hpp"

namespace ae::data {

// Reads up to the first row. InputError when the file is empty, binary, or has no FIELDS before its rows; from next()
// also when FIELDS, behind a restart, lacks one of the first columns. A name that several columns have, as of
// components that were printed twice, is one of columns(), at its first place: text(), raw() and so all who use it
// refuse it by an InputError, and who does not look at it is not bothered. BadRow for a row of another number of cells.
// A last line without its end is what a running simulation leaves, and its last number may be cut: it is no row, and is
// counted by incomplete(). Columns are periodic as min_NAME and max_NAME say.
std::unique_ptr<RowSource> open_colvar(std::unique_ptr<ByteSource> source);

// "3.14", "-pi", "2*pi", "pi/2", "+inf"; nothing for what is none of these.
std::optional<double> colvar_number(std::string_view text);

}  // namespace ae::data
