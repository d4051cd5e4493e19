// The chemical elements: symbols and weights.
#pragma once

#include <string_view>

namespace ae::geometry {

constexpr int kElements = 118;

// "H" to "Og" for atomic numbers from 1 to kElements.
std::string_view element_symbol(int number);

// Standard atomic weights in unified atomic mass units, conventional ones where isotopes vary (Meija et al. 2016, Pure
// Appl. Chem. 88, 265); of elements without such a mass number of a long-lived isotope.
double element_weight(int number);

// The atomic number of a symbol in any case of letters, deuterium's and tritium's ("D", "T") that of hydrogen; 0 =
// none.
int element_number(std::string_view symbol);

}  // namespace ae::geometry
