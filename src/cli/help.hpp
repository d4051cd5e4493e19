// What --help prints. Within this room.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/app.hpp"
#include "cli/pages.hpp"

namespace ae::cli {

// Description, examples, usage and options with their defaults, in lines of at most `columns` characters. Examples,
// which are there to be copied, and words that are longer stay whole. `configs`: the folder that the examples name
// "configs".
std::string help_text(const Program& program, const std::vector<Argument>& arguments, std::size_t columns,
                      const std::string& configs = "configs");

// Where the configs lie that were installed with the running program; "configs" when it was not installed, as in a
// clone of the sources, or when a shell would take the folder's name for something else.
std::string configs_folder();

// The environment's COLUMNS, else the width of the terminal that standard output is, else 80.
std::size_t help_columns();

}  // namespace ae::cli
