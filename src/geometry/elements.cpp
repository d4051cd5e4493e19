#include "geometry/elements.hpp"

#include <array>

#include "base/text.hpp"

namespace ae::geometry {
namespace {

struct Element {
  std::string_view symbol;
  double weight;
};

constexpr std::array<Element, kElements> kTable{
    {{"H", 1.008},     {"He", 4.002602}, {"Li", 6.94},     {"Be", 9.012183}, {"B", 10.81},     {"C", 12.011},
     {"N", 14.007},    {"O", 15.999},    {"F", 18.9984},   {"Ne", 20.1797},  {"Na", 22.98977}, {"Mg", 24.305},
     {"Al", 26.98154}, {"Si", 28.085},   {"P", 30.97376},  {"S", 32.06},     {"Cl", 35.45},    {"Ar", 39.948},
     {"K", 39.0983},   {"Ca", 40.078},   {"Sc", 44.95591}, {"Ti", 47.867},   {"V", 50.9415},   {"Cr", 51.9961},
     {"Mn", 54.93804}, {"Fe", 55.845},   {"Co", 58.93319}, {"Ni", 58.6934},  {"Cu", 63.546},   {"Zn", 65.38},
     {"Ga", 69.723},   {"Ge", 72.63},    {"As", 74.92159}, {"Se", 78.971},   {"Br", 79.904},   {"Kr", 83.798},
     {"Rb", 85.4678},  {"Sr", 87.62},    {"Y", 88.90584},  {"Zr", 91.224},   {"Nb", 92.90637}, {"Mo", 95.95},
     {"Tc", 98},       {"Ru", 101.07},   {"Rh", 102.9055}, {"Pd", 106.42},   {"Ag", 107.8682}, {"Cd", 112.414},
     {"In", 114.818},  {"Sn", 118.71},   {"Sb", 121.76},   {"Te", 127.6},    {"I", 126.9045},  {"Xe", 131.293},
     {"Cs", 132.9055}, {"Ba", 137.327},  {"La", 138.9055}, {"Ce", 140.116},  {"Pr", 140.9077}, {"Nd", 144.242},
     {"Pm", 145},      {"Sm", 150.36},   {"Eu", 151.964},  {"Gd", 157.25},   {"Tb", 158.9254}, {"Dy", 162.5},
     {"Ho", 164.9303}, {"Er", 167.259},  {"Tm", 168.9342}, {"Yb", 173.054},  {"Lu", 174.9668}, {"Hf", 178.49},
     {"Ta", 180.9479}, {"W", 183.84},    {"Re", 186.207},  {"Os", 190.23},   {"Ir", 192.217},  {"Pt", 195.084},
     {"Au", 196.9666}, {"Hg", 200.592},  {"Tl", 204.38},   {"Pb", 207.2},    {"Bi", 208.9804}, {"Po", 209},
     {"At", 210},      {"Rn", 222},      {"Fr", 223},      {"Ra", 226},      {"Ac", 227},      {"Th", 232.0377},
     {"Pa", 231.0359}, {"U", 238.0289},  {"Np", 237},      {"Pu", 244},      {"Am", 243},      {"Cm", 247},
     {"Bk", 247},      {"Cf", 251},      {"Es", 252},      {"Fm", 257},      {"Md", 258},      {"No", 259},
     {"Lr", 262},      {"Rf", 267},      {"Db", 268},      {"Sg", 271},      {"Bh", 270},      {"Hs", 269},
     {"Mt", 278},      {"Ds", 281},      {"Rg", 281},      {"Cn", 285},      {"Nh", 286},      {"Fl", 289},
     {"Mc", 289},      {"Lv", 293},      {"Ts", 293},      {"Og", 294}}};

}  // namespace

std::string_view element_symbol(int number) { return kTable.at(static_cast<std::size_t>(number - 1)).symbol; }

double element_weight(int number) { return kTable.at(static_cast<std::size_t>(number - 1)).weight; }

int element_number(std::string_view symbol) {
  const auto wanted = lower_case(symbol);
  if (wanted == "d" || wanted == "t") return 1;
  for (int number = 1; number <= kElements; ++number)
    if (lower_case(element_symbol(number)) == wanted) return number;
  return 0;
}

}  // namespace ae::geometry
