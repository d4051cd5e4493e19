// What was the world before the code blurred it?
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "cli/app.hpp"
#include "cli/version.hpp"
#include "data/tables/colvar_rows.hpp"
#include "fit/deconvolution_job.hpp"
#include "fit/state_files.hpp"
#include "output_files.hpp"
#include "recording_reporter.hpp"
#include "report/free_energy.hpp"
#include "report/states.hpp"

namespace {

using namespace ae;
namespace fs = std::filesystem;

const cli::Program kProgram{
    "ae-deconvolve",
    "What was a variable before it was blurred, as by the code of an autoencoder? The free energy along it from biased "
    "simulations (COLVAR files of PLUMED): reweighted, freed from the blur, with errors by blocks of time. A blur that "
    "is assumed too wide shows in chi^2 and is warned of; one that is assumed too narrow CANNOT be seen in the data: "
    "the barrier is then too low, and nothing tells. Take sigma from pairs of true and observed values.",
    {{"ae-deconvolve configs/data/double-well.colvar --cv s --bias bias --kt 1 --sigma 0.2 -o fes",
      "fes.csv with the free energy as observed and without the blur, summary.json with delta F and the barrier"},
     {"ae-deconvolve configs/data/double-well.colvar --cv s --bias bias --kt 1 --pairs "
      "configs/data/double-well-pairs.csv "
      "-o fes-by-pairs",
      "the same, the blur learned from pairs of true and observed values"}},
    {{"TMPDIR", "where the values of the rows are kept while they are used; /tmp if not set"}},
    {{"DIR/fes.csv", "free energy by bins: x,F_observed,F,se,lo,hi,n_eff; nan where nothing is known"},
     {"DIR/kernel.csv", "the blur: the probability of observed bins for each true one"},
     {"DIR/summary.json", "delta_F, barrier, n_eff, chi2, penalty, converged, warnings and more"},
     {"DIR/fes.svg", "a picture of it"},
     {"DIR/page.html", "figures and picture, to look at"},
     {"DIR/states.csv, DIR/bins.csv, DIR/states.svg",
      "with --state, beside summary.json and instead of the others: the states' shares and free energies, and what is "
      "observed in each"},
     {"DIR/fes.dat", "with --plumed: the free energy as PLUMED's FES_from_Reweighting.py writes it"}}};

struct Options {
  std::vector<std::string> files, variables, biases;
  std::optional<double> kt, temperature;
  std::string units;
  std::vector<std::string> sigma, truth, observed, low, high, bins, periods;
  std::string pairs, weight, kernel;
  std::vector<std::string> states;
  std::string role = "auto", method = "penalised";
  std::optional<double> penalty, split;
  std::optional<std::int64_t> iterations;
  std::int64_t skip = 0, blocks = 20, bootstrap = 200, seed = 0;
  double confidence = 0.95;
  bool plumed = false;
  std::string folder;
};

constexpr double kInfinite = std::numeric_limits<double>::infinity();

void declare_data(CLI::App& app, Options& o) {
  const auto list = [&](const char* name, std::vector<std::string>& target, const char* help, const char* type) {
    return app.add_option(name, target, help)->allow_extra_args(false)->type_name(type)->group("Data");
  };
  list("--cv", o.variables, "Column with the observed variable; repeat for a second one", "COLUMN")->required();
  list("--bias", o.biases, "Column with the bias in force at each row; repeat for several, which are added", "COLUMN");
  cli::add_number(app, "--kt", o.kt, "Value of kT in the unit of the bias, in which energies are written", 1e-300,
                  kInfinite)
      ->group("Data");
  cli::add_number(app, "--temp", o.temperature, "Temperature in kelvin, instead of --kt, for a bias in --units", 1e-300,
                  kInfinite)
      ->group("Data");
  cli::add_choice(app, "--units", o.units,
                  "Unit of the bias and of energies: kJ/mol, kcal/mol or eV; with --temp kJ/mol if not given",
                  {"kj", "kcal", "ev"})
      ->group("Data");
  cli::add_choice(app, "--files", o.role,
                  "What several files are to each other: parts or replicas of one biased run (continuation), or runs "
                  "with biases of their own (windows), joined by WHAM; auto takes windows where each file has a "
                  "harmonic bias of its own",
                  {"auto", "continuation", "windows"})
      ->capture_default_str()
      ->group("Data");
  cli::add_integer(app, "--skip", o.skip, "Rows to leave out at the beginning of each file, as not yet equilibrated", 0,
                   std::numeric_limits<std::int64_t>::max())
      ->capture_default_str()
      ->group("Data");
  list("--periodic", o.periods,
       "Period of the variable as LOW:HIGH, such as -pi:pi, or none; as the file says (min_NAME, max_NAME) if not "
       "given; repeat for a second variable",
       "TEXT");
}

void declare_blur(CLI::App& app, Options& o) {
  const auto list = [&](const char* name, std::vector<std::string>& target, const char* help, const char* type) {
    app.add_option(name, target, help)->allow_extra_args(false)->type_name(type)->group("Blur");
  };
  list("--sigma", o.sigma,
       "Standard deviation of normal errors in the unit of the variable, 0 for none; too small a value cannot be seen "
       "in the data; repeat for a second variable",
       "NUMBER");
  app.add_option(
         "--pairs", o.pairs,
         "Learn the blur from pairs: a table or COLVAR file with the columns true, observed and, for pairs of a "
         "biased run, weight = e^(V/kT) or the columns of --bias; of two variables true1, true2, observed1, "
         "observed2")
      ->type_name("FILE")
      ->group("Blur");
  list("--true", o.truth, "Column of --pairs with the true values; repeat for a second variable", "COLUMN");
  list("--observed", o.observed,
       "Column of --pairs with the observed values, which may also be named as --cv is; repeat for a second variable",
       "COLUMN");
  app.add_option("--weight", o.weight, "Column of --pairs with weights")->type_name("COLUMN")->group("Blur");
  app.add_option(
         "--kernel", o.kernel,
         "Errors as a function of the truth: a table with the columns x, sigma and, where it is not x, mean; or "
         "an error model (.json) that ae-embed --error-model --true COLUMN wrote, of the code named by --cv")
      ->type_name("FILE")
      ->group("Blur");
  list("--state", o.states,
       "A run that never leaves one state, as NAME=FILE; repeat for each state: what is wanted is then how often the "
       "biased run is in each, by what is observed there, such as the reconstruction loss of a model that was trained "
       "in "
       "one",
       "TEXT");
}

void declare_estimate(CLI::App& app, Options& o) {
  const auto list = [&](const char* name, std::vector<std::string>& target, const char* help, const char* type) {
    app.add_option(name, target, help)->allow_extra_args(false)->type_name(type)->group("Estimate");
  };
  list("--minimum", o.low, "Lower end of the grid of true values; repeat for a second variable", "NUMBER");
  list("--maximum", o.high, "Upper end, likewise; repeat for a second variable", "NUMBER");
  list(
      "--bins", o.bins,
      "Bins of the grid; 120 or more by sigma if not given, of two variables 40; with --state of like numbers of rows, "
      "20 if not given, of two variables 10 each; repeat for a second variable",
      "INTEGER");
  cli::add_choice(app, "--method", o.method,
                  "Penalised likelihood, or Richardson-Lucy, with which it is compared anyway",
                  {"penalised", "richardson-lucy"})
      ->capture_default_str()
      ->group("Estimate");
  cli::add_number(app, "--penalty", o.penalty,
                  "Penalty on the squared curvature of the log density, over an axis of length 1; chosen by held-out "
                  "blocks of time if not given",
                  1e-12, 1e12)
      ->group("Estimate");
  cli::add_integer(app, "--iterations", o.iterations,
                   "Iterations of Richardson-Lucy; chosen by held-out blocks of time if not given", 1, 1'000'000)
      ->group("Estimate");
  cli::add_number(
      app, "--split", o.split,
      "Where the two sides part whose difference delta F is; the top of the barrier between the two deepest "
      "states if not given",
      -kInfinite, kInfinite)
      ->group("Estimate");
  cli::add_integer(app, "--blocks", o.blocks,
                   "Blocks of time, which are to be longer than the variable's memory; each window and the pairs have "
                   "as many",
                   2, 100'000)
      ->capture_default_str()
      ->group("Estimate");
  cli::add_integer(app, "--bootstrap", o.bootstrap, "Resamples of blocks for standard errors; 0 for none", 0, 100'000)
      ->capture_default_str()
      ->group("Estimate");
  cli::add_integer(app, "--seed", o.seed, "Seed of the resamples", 0, std::numeric_limits<std::int64_t>::max())
      ->capture_default_str()
      ->group("Estimate");
  cli::add_number(app, "--confidence", o.confidence, "Confidence of all intervals", 0.01, 0.9999)
      ->capture_default_str();
}

void declare(CLI::App& app, Options& o) {
  app.add_option("colvar", o.files, "COLVAR files (.gz and .zst; - is standard input)")->required()->type_name("FILE");
  declare_data(app, o);
  declare_blur(app, o);
  declare_estimate(app, o);
  app.add_option("-o,--output", o.folder, "Folder for what is written")->required()->type_name("DIR");
  app.add_flag("--plumed", o.plumed, "Also write fes.dat, as PLUMED's FES_from_Reweighting.py does");
}

// kT by the temperature: the gas constant, or Boltzmann's in eV (CODATA 2018).
double thermal_energy(const Options& o) {
  if (o.kt && o.temperature) throw UsageError("--kt and --temp both tell kT; give one of them");
  if (o.kt) return *o.kt;
  if (!o.temperature)
    throw UsageError("the temperature is missing; give --kt X, kT in the unit of the bias, or --temp T with --units");
  const double of_a_kelvin = o.units == "kcal" ? 0.00198720425864083
                             : o.units == "ev" ? 8.617333262e-5
                                               : 0.00831446261815324;
  return of_a_kelvin * *o.temperature;
}

std::string unit_of(const Options& o) {
  if (o.units.empty() && o.kt) return "";
  return o.units == "kcal" ? "kcal/mol" : o.units == "ev" ? "eV" : "kJ/mol";
}

double number_of(const std::string& option, const std::string& text, double low) {
  const auto number = parse_number(text);
  if (!number || !std::isfinite(*number) || *number < low)
    throw UsageError(option + ": found " + ae::quoted(text) + "; expected a number" +
                     (low == 0 ? " that is not negative" : ""));
  return *number;
}

std::pair<double, double> period_of(const std::string& text) {
  const auto colon = text.find(':');
  const auto low = data::colvar_number(text.substr(0, colon));
  const auto high = colon == std::string::npos ? std::nullopt : data::colvar_number(text.substr(colon + 1));
  if (!low || !high || !(*low < *high))
    throw UsageError("--periodic: found " + ae::quoted(text) + "; expected LOW:HIGH, such as -pi:pi or 0:360, or none");
  return {*low, *high};
}

// As many values as variables, or none.
void check_counts(const Options& o) {
  if (o.variables.size() > 2)
    throw UsageError("--cv is given " + std::to_string(o.variables.size()) + " times; expected one or two variables");
  if (o.variables.size() == 2 && o.variables[0] == o.variables[1])
    throw UsageError("--cv names " + ae::quoted(o.variables[0]) + " twice; expected two variables");
  for (const auto& [option, values] : {std::pair<const char*, const std::vector<std::string>*>{"--sigma", &o.sigma},
                                       {"--true", &o.truth},
                                       {"--observed", &o.observed},
                                       {"--minimum", &o.low},
                                       {"--maximum", &o.high},
                                       {"--bins", &o.bins},
                                       {"--periodic", &o.periods}})
    if (!values->empty() && values->size() != o.variables.size())
      throw UsageError(std::string(option) + " is given " + std::to_string(values->size()) + " times; expected " +
                       std::to_string(o.variables.size()) + ", one for each --cv");
}

void check(const Options& o) {
  check_counts(o);
  const int blurs = !o.sigma.empty() + !o.pairs.empty() + !o.kernel.empty();
  if (blurs != 1)
    throw UsageError(std::string(blurs == 0 ? "the blur is missing" : "the blur is given more than once") +
                     "; give one of --pairs FILE, --sigma X, --kernel FILE, or states by --state NAME=FILE");
  if (o.pairs.empty() && (!o.truth.empty() || !o.observed.empty() || !o.weight.empty()))
    throw UsageError("--true, --observed and --weight name columns of --pairs, which is not given");
  if (!o.kernel.empty() && o.variables.size() > 1)
    throw UsageError("--kernel is for one --cv; give --sigma or --pairs");
  if (o.split && o.variables.size() > 1) throw UsageError("--split is for one --cv; of two, states are compared");
  if (o.method == "penalised" ? o.iterations.has_value() && o.variables.size() > 1 : o.penalty.has_value())
    throw UsageError(o.method == "penalised" ? "--iterations needs --method richardson-lucy for two variables"
                                             : "--penalty is not for --method richardson-lucy, which has --iterations");
}

std::int64_t bins_of(const std::string& text) {
  const double bins = number_of("--bins", text, 0);
  if (bins < 5 || bins > 1000 || bins != std::floor(bins))
    throw UsageError("--bins: found " + ae::quoted(text) + "; expected a whole number from 5 to 1000");
  return static_cast<std::int64_t>(bins);
}

fit::DeconvolutionJob job_of(const Options& o, int threads) {
  fit::DeconvolutionJob job;
  job.files = o.files;
  job.columns = {o.variables, o.biases, o.skip};
  job.axes.resize(o.variables.size());
  for (std::size_t v = 0; v < o.variables.size(); ++v) {
    auto& axis = job.axes[v];
    if (!o.low.empty()) axis.low = number_of("--minimum", o.low[v], -kInfinite);
    if (!o.high.empty()) axis.high = number_of("--maximum", o.high[v], -kInfinite);
    if (!o.bins.empty()) axis.bins = bins_of(o.bins[v]);
    if (!o.periods.empty() && o.periods[v] == "none")
      axis.not_periodic = true;
    else if (!o.periods.empty())
      axis.period = period_of(o.periods[v]);
    if (!o.sigma.empty()) job.sigma.push_back(number_of("--sigma", o.sigma[v], 0));
  }
  job.role = o.role == "windows"        ? fit::FileRole::windows
             : o.role == "continuation" ? fit::FileRole::continuation
                                        : fit::FileRole::automatic;
  auto& options = job.options;
  options.kt = thermal_energy(o);
  options.blocks = static_cast<std::int32_t>(o.blocks);
  options.bootstrap = static_cast<std::int32_t>(o.bootstrap);
  options.confidence = o.confidence;
  options.penalty = o.penalty;
  options.iterations = o.iterations;
  options.split = o.split;
  options.method =
      o.method == "penalised" ? fit::DeconvolutionMethod::penalised : fit::DeconvolutionMethod::richardson_lucy;
  options.seed = static_cast<std::uint64_t>(o.seed);
  options.threads = threads;
  job.blur_table = o.kernel;
  if (!o.pairs.empty())
    job.pairs = fit::PairReading{o.pairs, o.variables, o.truth, o.observed, o.weight, o.biases, options.kt};
  return job;
}

std::vector<std::string> inputs_of(const Options& o) {
  auto all = o.files;
  for (const auto& file : {o.pairs, o.kernel})
    if (!file.empty()) all.push_back(file);
  return all;
}

// NAME=FILE of --state.
std::vector<std::pair<std::string, std::string>> named_states(const Options& o) {
  std::vector<std::pair<std::string, std::string>> states;
  for (const auto& text : o.states) {
    const auto sign = text.find('=');
    if (sign == std::string::npos || sign == 0 || sign + 1 == text.size())
      throw UsageError("--state: found " + ae::quoted(text) + "; expected NAME=FILE");
    const auto name = text.substr(0, sign);
    constexpr std::array<std::string_view, 7> kTaken{"bin", "lo", "hi", "lo_2", "hi_2", "observed", "fitted"};
    if (!is_utf8(name) || std::ranges::find(kTaken, name) != kTaken.end())
      throw UsageError(
          "--state: " + ae::quoted(name) +
          " cannot be a state's name, as it would be no column of its own in bins.csv; choose another one");
    for (const auto& other : states)
      if (other.first == name)
        throw UsageError("--state: " + ae::quoted(name) + " is there twice; expected two states");
    states.emplace_back(name, text.substr(sign + 1));
  }
  if (states.size() == 1) throw UsageError("--state is given once; expected two states or more");
  return states;
}

void check_for_states(const Options& o) {
  check_counts(o);
  const std::pair<const char*, bool> others[]{{"--sigma", !o.sigma.empty()},
                                              {"--pairs", !o.pairs.empty()},
                                              {"--kernel", !o.kernel.empty()},
                                              {"--true", !o.truth.empty()},
                                              {"--observed", !o.observed.empty()},
                                              {"--weight", !o.weight.empty()},
                                              {"--minimum", !o.low.empty()},
                                              {"--maximum", !o.high.empty()},
                                              {"--periodic", !o.periods.empty()},
                                              {"--penalty", o.penalty.has_value()},
                                              {"--iterations", o.iterations.has_value()},
                                              {"--split", o.split.has_value()},
                                              {"--method", o.method != "penalised"},
                                              {"--files", o.role != "auto"},
                                              {"--plumed", o.plumed}};
  for (const auto& [option, is_given] : others)
    if (is_given) throw UsageError(std::string(option) + " is not for --state, whose runs tell all there is to know");
}

fit::StateJob state_job_of(const Options& o, int threads) {
  fit::StateJob job;
  job.files = o.files;
  job.columns = {o.variables, o.biases, o.skip};
  job.states = named_states(o);
  auto& options = job.options;
  options.kt = thermal_energy(o);
  options.bins = o.variables.size() > 1 ? 10 : 20;
  if (!o.bins.empty()) {
    options.bins = bins_of(o.bins.front());
    if (o.bins.front() != o.bins.back())
      throw UsageError("--bins: with --state both variables have as many; expected the same number twice");
    if (o.variables.size() > 1 && options.bins > 100)
      throw UsageError("--bins: with --state and two variables expected at most 100 each");
  }
  options.blocks = static_cast<std::int32_t>(o.blocks);
  options.bootstrap = static_cast<std::int32_t>(o.bootstrap);
  options.confidence = o.confidence;
  options.seed = static_cast<std::uint64_t>(o.seed);
  options.threads = threads;
  return job;
}

// What either kind of run tells of itself.
template <typename Result>
void tell_origin(Result& result, const Options& o, const cli::Context& context,
                 const apps::RecordingReporter& reporter) {
  result.energy_unit = unit_of(o);
  result.made_by = cli::version_line(kProgram.name);
  result.command = context.arguments;
  result.warnings = reporter.warnings;
}

int run_for_states(const Options& o, cli::Context& context) {
  check_for_states(o);
  const auto job = state_job_of(o, context.options.threads);
  auto inputs = o.files;
  for (const auto& [name, file] : job.states) inputs.push_back(file);
  apps::OutputFiles files(inputs, context.options.force);
  const auto folder = files.folder(o.folder, "-o");
  const auto open = [&](const char* name) { return files.open((folder / name).string(), "-o"); };
  Output *csv = open("states.csv"), *bins = open("bins.csv"), *summary = open("summary.json"),
         *plot = open("states.svg"), *page = open("page.html");
  Output* text = files.for_people();
  apps::RecordingReporter reporter(context.reporter);
  if (o.biases.empty()) reporter.info("no --bias: rows are taken as those of an unbiased run");
  auto result = fit::run_states(job, reporter);
  tell_origin(result, o, context, reporter);
  csv->write(fit::states_csv(result));
  bins->write(fit::state_bins_csv(result));
  summary->write(fit::states_json(result));
  plot->write(report::states_svg(result));
  page->write(report::states_page(result, cli::shell_command(kProgram.name, context.arguments)));
  text->write(fit::states_text(result));
  files.commit();
  return 0;
}

int run(const Options& o, cli::Context& context) {
  if (!o.states.empty()) return run_for_states(o, context);
  check(o);
  const auto job = job_of(o, context.options.threads);
  apps::OutputFiles files(inputs_of(o), context.options.force);
  const auto folder = files.folder(o.folder, "-o");
  const auto open = [&](const char* name) { return files.open((folder / name).string(), "-o"); };
  Output *csv = open("fes.csv"), *kernel = open("kernel.csv"), *summary = open("summary.json"), *plot = open("fes.svg"),
         *page = open("page.html");
  Output* plumed = o.plumed ? open("fes.dat") : nullptr;
  Output* text = files.for_people();
  apps::RecordingReporter reporter(context.reporter);
  if (o.biases.empty()) reporter.info("no --bias: rows are taken as those of an unbiased run");
  auto result = fit::run_deconvolution(job, reporter);
  tell_origin(result, o, context, reporter);
  csv->write(fit::free_energy_csv(result));
  kernel->write(fit::blur_csv(result));
  summary->write(fit::free_energy_json(result));
  plot->write(report::free_energy_svg(result));
  page->write(report::free_energy_page(result, cli::shell_command(kProgram.name, context.arguments)));
  if (plumed != nullptr) plumed->write(fit::free_energy_plumed(result));
  text->write(fit::free_energy_text(result));
  files.commit();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  return cli::run_app(
      kProgram, argc, argv, [&](CLI::App& app) { declare(app, options); },
      [&](cli::Context& context) { return run(options, context); });
}
