// What does a store of transitions do to what is learned from it?
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "cli/app.hpp"
#include "cli/version.hpp"
#include "evaluate/rate_text.hpp"
#include "model_program.hpp"
#include "output_files.hpp"
#include "recording_reporter.hpp"
#include "replay/audit_files.hpp"
#include "replay/choice_files.hpp"
#include "replay/correct.hpp"
#include "replay/open.hpp"
#include "replay/store.hpp"
#include "replay/unpack.hpp"

namespace {

using namespace ae;
namespace fs = std::filesystem;

const cli::Program kProgram{
    "ae-replay",
    "Replay buffers of reinforcement learning in a fraction of the memory, and what that does to the targets of Q "
    "learning. pack keeps observations as codes of a few bits by an autoencoder, unpack gives them back. audit "
    "measures "
    "the bias of the targets by any lossy store, JPEG as well, and takes it apart; correct takes it off; choose finds "
    "the "
    "cheapest store within a budget of bias.",
    {{"ae-train configs/swing.json --out runs/swing && ae-replay pack runs/swing configs/data/swing.npz --bits 6 -o "
      "packed",
      "a store: codes of 6 bits a latent, the model, and a manifest with ratio and errors"},
     {"ae-replay audit configs/data/swing.npz packed --q configs/data/swing-q.json --gamma 0.95 -o audit",
      "audit.csv with a line for each transition, summary.json with the bias, its parts and a verdict"},
     {"ae-replay correct packed --q configs/data/swing-q.json --gamma 0.95 -o targets.npz",
      "corrected targets, by the pairs of true and stored observations that the store keeps"},
     {"ae-replay choose runs/swing configs/data/swing.npz --q configs/data/swing-q.json --gamma 0.95 --maximum-bias "
      "0.05 "
      "-o "
      "choice",
      "the bits of each latent with which a store is smallest and the targets' mean bias at most 0.05"},
     {"ae-replay unpack packed -o unpacked.npz", "the transitions, observations decoded"}},
    {{"TMPDIR", "where actions, rewards and targets wait until all are known; /tmp if not set"}},
    {{"DIR/audit.csv", "of audit: measured and predicted bias of each target, and its parts"},
     {"DIR/summary.json", "of audit: mean_bias, predicted_bias, correlation, action_changes, parts, valid and more"},
     {"DIR/bias.svg", "of audit: the parts of the mean bias as bars"},
     {"DIR/page.html", "of audit: all of it to look at"},
     {"DIR/candidates.csv", "of choose: the stores that were tried, their bytes and what they do to targets"},
     {"DIR/summary.json", "of choose: the budget, the chosen store and all others"},
     {"DIR/manifest.json", "of pack: what is in the store, its ratio and errors"},
     {"DIR/part-000000.npz", "of pack: codes, flags, actions and rewards; one more for each --append"},
     {"DIR/model-DIGEST.safetensors", "of pack: the model"}}};

struct Options {
  const CLI::App* given = nullptr;  // the command line, which tells an option from its default
  std::string action;
  std::vector<std::string> files;
  std::vector<std::string> arrays;
  std::string layout;
  bool resets = false;
  std::string q;
  double gamma = 0.99;
  std::int64_t seed = 0;
  std::vector<std::string> bits;
  std::int64_t kept_pairs = 1000;
  std::string error_model;
  bool append = false;
  std::string range;
  replay::ChoiceBudget budget;
  std::string output;

  data::TransitionOptions transitions(const std::string& file) const;
  std::vector<std::int64_t> bit_numbers() const;
};

void declare_targets(CLI::App& app, Options& o) {
  app.add_option(
         "--q", o.q,
         "Q network, from observations [n, ...] as in the file to values [n, actions]: TorchScript, or JSON with "
         "layers of weight, bias and activation")
      ->type_name("FILE")
      ->group("Targets");
  cli::add_number(app, "--gamma", o.gamma, "Discount of the next value in a target", 0, 1)
      ->capture_default_str()
      ->group("Targets");
  constexpr double kAny = std::numeric_limits<double>::max();
  cli::add_number(app, "--maximum-bias", o.budget.bias,
                  "Largest mean bias of targets that a chosen store may have, either way, in the unit of Q", 0, kAny)
      ->group("Budget");
  cli::add_number(app, "--maximum-changes", o.budget.changes,
                  "Largest share of transitions whose greedy action may be another one", 0, 1)
      ->capture_default_str()
      ->group("Budget");
  cli::add_number(app, "--maximum-td-error", o.budget.td_rms,
                  "Largest rms of what a chosen store makes of TD errors, in the unit of Q; any if not given", 0, kAny)
      ->group("Budget");
}

void declare_store(CLI::App& app, Options& o) {
  app.add_option("--bits", o.bits,
                 "Bits of each latent number, 1 to 16; 8 if not given; repeat, or join by commas, for one a latent")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("INTEGER")
      ->group("Store");
  cli::add_integer(app, "--keep-pairs", o.kept_pairs,
                   "True next observations to keep, of transitions drawn at random, by which targets are corrected", 0,
                   1'000'000)
      ->capture_default_str()
      ->group("Store");
  app.add_option("--error-model", o.error_model,
                 "Correct a store by what ae-embed --error-model wrote of its model, not by the pairs that it keeps")
      ->type_name("FILE.json")
      ->group("Targets");
  app.add_flag("--append", o.append, "Add to the store that is there, with its model and bits")->group("Store");
  app.add_option("--range", o.range, "Transitions to unpack as FIRST:END, counted from 0; all if not given")
      ->type_name("TEXT")
      ->group("Store");
}

void declare(CLI::App& app, Options& o) {
  o.given = &app;
  cli::add_choice(app, "action", o.action,
                  "Pack transitions, unpack them, audit what a store does to targets, correct those, or choose a store",
                  {"pack", "unpack", "audit", "correct", "choose"})
      ->required();
  app.add_option(
         "files", o.files,
         "Transitions: NPZ, NPY, HDF5 (D4RL), folders of Minari's or of pack. Of pack MODEL FILE; of unpack STORE; "
         "of audit ORIGINAL STORED; of correct STORE, or ORIGINAL STORED, and a third file if that is to be "
         "corrected; of choose any number of models and then FILE")
      ->required()
      ->type_name("PATH");
  app.add_option("--array", o.arrays,
                 "Which array is what, as observations=NAME, or next-observations, actions, rewards, terminations, "
                 "truncations, episodes; by usual names if not given; repeat for several")
      ->allow_extra_args(false)
      ->type_name("TEXT")
      ->group("Transitions");
  cli::add_choice(
      app, "--layout", o.layout,
      "What the first two dimensions of rewards and ends are: [episodes, steps] or [steps, environments], as "
      "rollouts of vector environments are; by the shapes and ends if not given",
      {"episodes", "steps"})
      ->group("Transitions");
  app.add_flag(
         "--skip-resets", o.resets,
         "Leave out the row after an episode's end, which is the reset of a vector environment (Gymnasium 1.0 and "
         "later) and no transition; pack stores it, but keeps no pairs of it")
      ->group("Transitions");
  declare_targets(app, o);
  declare_store(app, o);
  cli::add_integer(app, "--seed", o.seed, "Seed of the transitions and errors that are drawn", 0,
                   std::numeric_limits<std::int64_t>::max())
      ->capture_default_str();
  app.add_option("-o,--output", o.output, "Folder of pack and audit, NPZ file of unpack and correct")
      ->required()
      ->type_name("PATH");
}

data::TransitionOptions Options::transitions(const std::string& file) const {
  data::TransitionOptions how;
  how.resets_are_rows = resets;
  if (layout == "episodes") how.layout = data::TransitionLayout::episodes;
  if (layout == "steps") how.layout = data::TransitionLayout::steps;
  for (const auto& text : arrays) {
    const auto equals = text.find('=');
    const auto& roles = data::transition_names();
    const auto role = std::ranges::find(roles, text.substr(0, equals), [](const auto& names) { return names.name; });
    if (equals == std::string::npos || role == roles.end()) {
      std::vector<std::string> all;
      for (const auto& names : roles) all.emplace_back(names.name);
      throw UsageError("--array: found " + ae::quoted(text) + "; expected ROLE=NAME with one of " + ae::join(all));
    }
    // A store's arrays have names of their own.
    if (!replay::is_store(file)) how.arrays.emplace_back(role->role, text.substr(equals + 1));
  }
  return how;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

std::vector<std::int64_t> Options::bit_numbers() const {
  if (bits.empty()) return {8};
  std::vector<std::int64_t> numbers;
  for (const auto& text : bits) {
    const auto number = whole_number(text);
    if (!number || *number < 1 || *number > 16)
      throw UsageError("--bits: found " + ae::quoted(text) + "; expected a whole number from 1 to 16");
    numbers.push_back(*number);
  }
  return numbers;
}

// The options that not every action reads, and those that do.
const std::vector<std::pair<std::string_view, std::vector<std::string_view>>> kReaders{
    {"audit, correct or choose", {"--q", "--gamma"}},
    {"pack, audit, correct or choose", {"--array", "--layout", "--skip-resets", "--seed"}},
    {"choose", {"--maximum-bias", "--maximum-changes", "--maximum-td-error"}},
    {"pack", {"--bits", "--keep-pairs", "--append"}},
    {"correct", {"--error-model"}},
    {"unpack", {"--range"}}};

bool reads(std::string_view actions, std::string_view action) {
  for (std::size_t at = actions.find(action); at != std::string_view::npos; at = actions.find(action, at + 1))
    if (at == 0 || actions[at - 1] == ' ') return true;
  return false;
}

void check(const Options& o) {
  for (const auto& [actions, options] : kReaders) {
    if (reads(actions, o.action)) continue;
    for (const auto option : options)
      if (o.given->count(std::string(option)) > 0)
        throw UsageError(std::string(option) + " is not for " + o.action + " but for " + std::string(actions) +
                         "; leave it out");
  }
  const auto found = o.files.size();
  const auto files = [&](bool right, const char* expected) {
    if (!right) throw UsageError(o.action + ": found " + counted(found, "files") + "; expected " + expected);
  };
  if (o.action == "pack") files(found == 2, "a model and a file of transitions");
  if (o.action == "unpack") files(found == 1, "a store");
  if (o.action == "audit") files(found == 2, "two, the original transitions and the stored ones");
  if (o.action == "correct")
    files(found <= 3, "a store, or the original and the stored transitions, and perhaps others");
  if (!o.error_model.empty() && found > 1)
    throw UsageError("--error-model is for a store alone; the original transitions tell the errors themselves");
  if (o.action == "choose" && o.given->count("--maximum-bias") == 0)
    throw UsageError(
        "choose: the budget is missing; give --maximum-bias, the largest mean bias of targets, in the unit of Q");
  if (o.action == "choose" && o.budget.changes == 0)
    throw UsageError("--maximum-changes 0 can never be told from some of the transitions; give a share above 0.001");
  if (o.append && o.given->count("--bits") > 0)
    throw UsageError("--bits is that of the store with --append; leave it out");
  if (reads("audit correct choose", o.action) && o.q.empty())
    throw UsageError("the Q network is missing; give --q FILE");
}

std::unique_ptr<value::QNetwork> open_network(const Options& o, const data::Transitions& transitions) {
  return value::open_q_network(o.q, transitions.observation_shape(), replay::example_observations(transitions));
}

void warn_of_ends(const data::Transitions& transitions, Reporter& reporter) {
  if (transitions.bridges_untold_ends())
    reporter.warning(transitions.name() +
                     ": next observations are taken from the next row, and only terminations tell where episodes end: "
                     "where a time limit cut one off, that row is of another episode; expected truncations, episodes "
                     "or next_observations as well");
}

void warn_of_errors(const replay::PairMoments& moments, const std::string& stored, const std::string& original,
                    Reporter& reporter) {
  if (moments.rms > moments.spread)
    reporter.warning(stored + ": differs from " + original + " by " + evaluate::rate_text(moments.rms, 4) +
                     " (rms), more than observations vary, " + evaluate::rate_text(moments.spread, 4) +
                     "; expected the same transitions in the same order, layout and unit");
}

// What is read of these files of transitions, of which some are folders: an output must be none of it.
std::vector<std::string> read_of(std::span<const std::string> files, std::initializer_list<std::string> others = {}) {
  std::vector<std::string> all(others);
  for (const auto& file : files)
    for (const auto& path : replay::files_of_arrays(file)) all.push_back(path.string());
  std::erase(all, "");
  return all;
}

int run_pack(const Options& o, cli::Context& context) {
  const data::Transitions transitions(replay::open_arrays(o.files[1]), o.transitions(o.files[1]));
  replay::PackOptions how;
  how.bits = o.bit_numbers();
  how.pairs = o.kept_pairs;
  how.seed = static_cast<std::uint64_t>(o.seed);
  how.append = o.append;
  how.overwrite = context.options.force;
  how.made_by = cli::version_line(kProgram.name);
  const auto totals = replay::pack(o.files[0], transitions, o.output, how, context.reporter);
  warn_of_ends(transitions, context.reporter);
  if (totals.clipped > 0)
    context.reporter.warning(o.files[1] + ": " + counted(totals.clipped, "latents") +
                             " outside of the range of the first part, taken for its ends");
  context.reporter.info(counted(totals.transitions, "transitions") + ", observations in " +
                        evaluate::rate_text(1 / totals.ratio, 4) + " of their bytes, rms error " +
                        evaluate::rate_text(totals.rms_error, 4));
  return 0;
}

std::pair<std::int64_t, std::int64_t> range_of(const Options& o, std::int64_t size) {
  if (o.range.empty()) return {0, size};
  const auto colon = o.range.find(':');
  const auto first = whole_number(std::string_view(o.range).substr(0, colon));
  const auto end =
      colon == std::string::npos ? std::nullopt : whole_number(std::string_view(o.range).substr(colon + 1));
  if (!first || !end || *first < 0 || *end <= *first || *end > size)
    throw UsageError("--range: found " + ae::quoted(o.range) + "; expected FIRST:END within the store's " +
                     counted(size, "transitions"));
  return {*first, *end - *first};
}

int run_unpack(const Options& o, cli::Context& context) {
  if (!replay::is_store(o.files[0]))
    throw InputError(o.files[0] + ": is no store of ae-replay pack; expected a folder with manifest.json");
  apps::OutputFiles files(read_of(o.files), context.options.force);
  Output* output = files.open(o.output, "-o", apps::OutputFiles::Contents::as_named);
  const auto store = replay::Store::open(o.files[0]);
  const auto [first, count] = range_of(o, store->size());
  replay::write_arrays(*store->arrays(first, count), *output, context.reporter);
  files.commit();
  context.reporter.info(counted(count, "transitions"));
  return 0;
}

int run_audit(const Options& o, cli::Context& context) {
  apps::OutputFiles files(read_of(o.files, {o.q}), context.options.force);
  const auto folder = files.folder(o.output, "-o");
  Output* csv = files.open((folder / "audit.csv").string(), "-o");
  Output* summary = files.open((folder / "summary.json").string(), "-o");
  Output* picture = files.open((folder / "bias.svg").string(), "-o");
  Output* page = files.open((folder / "page.html").string(), "-o");
  Output* text = files.for_people();
  apps::RecordingReporter reporter(context.reporter);
  const auto how = o.transitions(o.files[0]);
  const data::Transitions original(replay::open_arrays(o.files[0]), how);
  const data::Transitions stored(replay::open_arrays(o.files[1]), how, &original);
  const auto network = open_network(o, original);
  replay::AuditRun run;
  run.options.gamma = o.gamma;
  run.options.seed = static_cast<std::uint64_t>(o.seed);
  csv->write(replay::audit_csv_header());
  run.result = replay::audit(
      original, stored, *network, run.options,
      [&](const auto& transition) { csv->write(replay::audit_csv_line(transition)); }, reporter);
  run.original = o.files[0];
  run.stored = o.files[1];
  run.q = o.q;
  run.actions = network->actions();
  run.width = original.width();
  run.made_by = cli::version_line(kProgram.name);
  run.command = context.arguments;
  if (const auto cut = run.result.moments.without_next; cut > 0)
    reporter.warning(o.files[0] + ": " + counted(cut, "transitions") +
                     " left out: cut off, and what came next is not stored");
  warn_of_ends(original, reporter);
  warn_of_errors(run.result.moments, o.files[1], o.files[0], reporter);
  run.warnings = reporter.warnings;
  summary->write(replay::audit_json(run));
  picture->write(replay::audit_svg(run));
  page->write(replay::audit_page(run, cli::shell_command(kProgram.name, context.arguments)));
  text->write(replay::audit_text(run));
  files.commit();
  return 0;
}

// What makes the chosen store of the same transitions.
std::string pack_command(const Options& o, const replay::StoreCandidate& chosen) {
  std::vector<std::string> arguments{std::string(kProgram.name), "pack", chosen.model, o.files.back()};
  for (const auto& array : o.arrays) arguments.insert(arguments.end(), {"--array", array});
  if (!o.layout.empty()) arguments.insert(arguments.end(), {"--layout", o.layout});
  if (o.resets) arguments.emplace_back("--skip-resets");
  arguments.insert(arguments.end(), {"--bits", replay::bits_text(chosen.bits), "-o", "STORE"});
  return cli::shell_command(kProgram.name, arguments);
}

int run_choose(const Options& o, cli::Context& context) {
  auto inputs = read_of(std::span(o.files).last(1), {o.q});
  std::ranges::transform(o.files.begin(), o.files.end() - 1, std::back_inserter(inputs), apps::model_file);
  apps::OutputFiles files(inputs, context.options.force);
  const auto folder = files.folder(o.output, "-o");
  Output* csv = files.open((folder / "candidates.csv").string(), "-o");
  Output* summary = files.open((folder / "summary.json").string(), "-o");
  Output* text = files.for_people();
  apps::RecordingReporter reporter(context.reporter);
  replay::ChoiceRun run;
  run.transitions = o.files.back();
  const data::Transitions transitions(replay::open_arrays(run.transitions), o.transitions(run.transitions));
  const auto network = open_network(o, transitions);
  run.options.budget = o.budget;
  run.options.gamma = o.gamma;
  run.options.seed = static_cast<std::uint64_t>(o.seed);
  run.result = replay::choose({o.files.begin(), o.files.end() - 1}, transitions, *network, run.options, reporter);
  run.q = o.q;
  run.made_by = cli::version_line(kProgram.name);
  run.command = context.arguments;
  warn_of_ends(transitions, reporter);
  if (!run.result.chosen)
    reporter.warning(run.transitions +
                     ": no store that was tried meets the budget; train a model with more latents or the loss "
                     "\"value\", or allow more bias");
  run.warnings = reporter.warnings;
  csv->write(replay::choice_csv(run.result));
  summary->write(replay::choice_json(run));
  text->write(replay::choice_text(run));
  if (run.result.chosen) {
    const auto& chosen = run.result.candidates[*run.result.chosen];
    if (!chosen.model.empty()) text->write(pack_command(o, chosen) + "\n");
  }
  files.commit();
  return run.result.chosen ? 0 : 1;
}

int run_correct(const Options& o, cli::Context& context) {
  apps::OutputFiles files(read_of(o.files, {o.q, o.error_model}), context.options.force);
  Output* output = files.open(o.output, "-o", apps::OutputFiles::Contents::as_named);
  constexpr std::int64_t kPairs = 8000;
  const auto seed = static_cast<std::uint64_t>(o.seed);
  const auto& last = o.files.back();
  replay::PairMoments moments;
  std::optional<data::Transitions> original, buffer;
  if (o.files.size() == 1) {
    if (!replay::is_store(last))
      throw UsageError(last +
                       ": is no store of ae-replay pack, so the errors are not known; give the original "
                       "transitions before it");
    const auto store = replay::Store::open(last);
    moments.sample = o.error_model.empty()
                         ? store->pairs(kPairs, seed)
                         : store->modelled_pairs(fit::read_error_model(o.error_model), o.error_model, kPairs, seed);
  } else {
    const auto how = o.transitions(o.files[0]);
    const auto original_arrays = replay::open_arrays(o.files[0]), arrays = replay::open_arrays(o.files[1]);
    original.emplace(original_arrays, how);
    const data::Transitions stored(arrays, how, &*original);
    moments = replay::moments_of(*original, stored, kPairs, seed, context.reporter);
    // A file of stored observations need not repeat the rewards and ends.
    if (o.files.size() == 2)
      buffer.emplace(replay::completed(arrays, original_arrays, *original, how), how, &*original);
  }
  if (!buffer) buffer.emplace(replay::open_arrays(last), o.transitions(last));
  const auto network = open_network(o, *buffer);
  const auto totals = replay::correct(*buffer, moments.sample, *network, {o.gamma, seed, context.options.force},
                                      *output, context.reporter);
  files.commit();
  warn_of_ends(o.files.size() == 2 ? *original : *buffer, context.reporter);
  if (original) warn_of_errors(moments, o.files[1], o.files[0], context.reporter);
  if (totals.resets > 0)
    context.reporter.warning(o.files.back() + ": " + counted(totals.resets, "targets are", "targets are") +
                             " NaN: resets, which are no transitions");
  if (totals.without_next > 0)
    context.reporter.warning(o.files.back() + ": " + counted(totals.without_next, "targets are", "targets are") +
                             " NaN: cut off, and what came next is not stored");
  context.reporter.info(counted(totals.transitions, "targets") + ", moved by " +
                        evaluate::rate_text(totals.mean_shift, 4) + " on average, by errors that are " +
                        replay::error_model_name(totals.check.model));
  return 0;
}

int run(Options& o, cli::Context& context) {
  check(o);
  constexpr double kOperations = 1e9;  // of a block of transitions: enough for all threads
  model::use_threads(context.options.threads, kOperations, model::Pool::blas);
  if (o.action == "pack") return run_pack(o, context);
  if (o.action == "unpack") return run_unpack(o, context);
  if (o.action == "audit") return run_audit(o, context);
  return o.action == "choose" ? run_choose(o, context) : run_correct(o, context);
}

}  // namespace

int main(int argc, char** argv) { return apps::run_program<Options>(kProgram, declare, run, argc, argv); }
