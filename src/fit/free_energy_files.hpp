// A free energy for machines and for people.
#pragma once

#include <string>
#include <vector>

#include "data/colvar/samples.hpp"
#include "evaluate/figure_list.hpp"
#include "fit/free_energy.hpp"

namespace ae::fit {

// What a run was told and what it found.
struct FreeEnergyRun {
  FreeEnergy result;
  FreeEnergyOptions options;
  std::vector<std::string> variables, biases;  // names of columns
  std::string energy_unit;                     // "kJ/mol"; "" = that of kT as given
  std::string blur_text;                       // "sigma 0.2", "1200 pairs of pairs.csv"
  std::vector<std::string> files;
  std::vector<data::ColvarRows> rows;  // of each file
  std::string made_by;
  std::vector<std::string> command, warnings;
};

// x[,y],F_observed,F,se,lo,hi,n_eff: a line for each bin, by its centre. Where nothing is known stands nan. lo and hi
// are normal intervals at the confidence asked for.
std::string free_energy_csv(const FreeEnergyRun& run);
// Of one variable x,observed,probability, by bins' centres, entries that are not 0; of two variables
// x,y,mean_x,mean_y,sd_x,sd_y,correlation of what is observed at each bin.
std::string blur_csv(const FreeEnergyRun& run);
std::string free_energy_json(const FreeEnergyRun& run);
std::string free_energy_subject(const FreeEnergyRun& run);  // what was read, in a line
evaluate::Figures free_energy_figures(const FreeEnergyRun& run);
std::string free_energy_text(const FreeEnergyRun& run);
// As FES_from_Reweighting.py of PLUMED writes it: `#! FIELDS cv file.free uncertainty`, constants, rows.
std::string free_energy_plumed(const FreeEnergyRun& run);

}  // namespace ae::fit
