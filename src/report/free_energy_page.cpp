#include "report/free_energy.hpp"
#include "report/panels.hpp"
#include "report/states.hpp"

namespace ae::report {

std::string free_energy_page(const fit::FreeEnergyRun& run, const std::string& command) {
  return panels_page("Free energy along " + run.variables.front() +
                         (run.variables.size() > 1 ? " and " + run.variables.back() : std::string()),
                     "The free energy as observed, and without the blur.",
                     picture_panel("Free energy", "The free energy as observed and without the blur, with its interval",
                                   free_energy_svg(run)) +
                         facts_panel(fit::free_energy_subject(run), fit::free_energy_figures(run)) +
                         asked_panel({}, run.warnings, command, run.made_by));
}

std::string states_page(const fit::StateRun& run, const std::string& command) {
  return panels_page("How a run is divided between states", "Shares of states, by what is observed in each.",
                     picture_panel("Probabilities of bins", "What is observed in bins, and what each state gives of it",
                                   states_svg(run)) +
                         facts_panel(fit::states_subject(run), fit::states_figures(run)) +
                         asked_panel({}, run.warnings, command, run.made_by));
}

}  // namespace ae::report
