// ae-train: learns what normal looks like.
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "base/world.hpp"
#include "config/document.hpp"
#include "model_program.hpp"
#include "recipe/recipes.hpp"
#include "train/run.hpp"

namespace {

// The settings, for shells to complete --set with.
std::vector<std::string> settings() {
  ae::recipe::Config config;
  std::istringstream lines(ae::config::describe(config));
  std::set<std::string> beginnings;  // each once: kinds of data and of models may have settings of the same name
  for (std::string line; std::getline(lines, line);) {
    const std::string pointer = line.substr(0, line.find_first_of(" :"));
    const bool within_a_list = pointer.find('*') != std::string::npos;
    if (!within_a_list) beginnings.insert(pointer + "=");
  }
  return {beginnings.begin(), beginnings.end()};
}

const ae::cli::Program kProgram{
    "ae-train",
    "Trains an autoencoder on the normal rows of a table, or on normal images, and writes a self-contained model.",
    {{"ae-train configs/wdbc.json --out runs/wdbc", "train as the config says; the model goes to runs/wdbc"},
     {"ae-train configs/wdbc-impute.json --out runs/imputer --set /training/epochs=100 --set /training/seed=1",
      "another config, with two settings changed"},
     {"ae-train configs/data/wdbc.csv --set /data/label=diagnosis --set /data/normal=benign --out runs/any",
      "learn a table without a config; without the two settings, all of its rows would count as normal"},
     {"ae-train good-boards --out runs/boards", "learn the images of a folder"}},
    ae::apps::launcher_variables(
        {{"MASTER_ADDR", "The machine of rank 0, where several processes meet; may be left out when all run on one"},
         {"MASTER_PORT", "The port there (default 29500)"},
         {"GLOO_SOCKET_IFNAME", "The network to meet by, instead of the one that leads to MASTER_ADDR"}}),
    {{"DIR/model.safetensors", "The model: weights, config, columns, scaling and calibration in one file"},
     {"DIR/config.json", "The config with all settings, defaults and overrides included"},
     {"DIR/metrics.csv", "Losses and seconds of every epoch"},
     {"DIR/training.svg", "The losses as a picture"},
     {"DIR/last.safetensors", "Where training ended, for more epochs by --resume; may be deleted"},
     {"DIR/run.json", "Command line, versions, hashes of config and data, and times"},
     {"DIR/distrusted.idx", "With /training/trim: the training rows that do not count as normal"},
     {"share/aetools/configs", "Below the folder that aetools was installed into: the configs of the examples"}},
    {{"--set", settings}}};

struct Options {
  std::string input;
  std::string recipe;
  std::optional<std::string> print_recipe;
  std::string folder;
  std::vector<std::string> set;
  std::string data;
  std::string from;
  double peer_timeout = ae::train::kPeerTimeoutSeconds;
  bool resume = false;
  bool print_config = false;
  bool print_schema = false;
  bool print_settings = false;
};

void declare(CLI::App& app, Options& options) {
  app.add_option("input", options.input,
                 "JSON config file; or training data, a table or a folder of images, which the recipe for such data is "
                 "taken for")
      ->type_name("PATH");
  app.add_option("-o,--out", options.folder, "Folder for the model and what else a run writes")->type_name("DIR");
  app.add_option("--set", options.set, "Override one setting, for example /training/epochs=50; repeat for several")
      ->type_name("POINTER=VALUE")
      ->allow_extra_args(false);
  app.add_option("--data", options.data, "Training data; the same as --set /data/path=PATH")->type_name("PATH");
  const auto recipes = ae::config::recipe_names(ae::recipe::recipes());
  ae::cli::add_choice(app, "--recipe", options.recipe,
                      "Train by one of the configs that come with the program, instead of a config file", recipes);
  app.add_option("--from", options.from,
                 "Begin with the weights of this model, which must have the same network and columns (default: random "
                 "ones, by /training/seed)")
      ->type_name("PATH");
  app.add_flag("--resume", options.resume,
               "Continue an interrupted run in DIR, to the same bytes, or a complete one for more /training/epochs");
  ae::cli::add_number(app, "--peer-timeout", options.peer_timeout,
                      "Seconds that a silent one of several processes is waited for before the others end", 0.1, 1e6)
      ->capture_default_str();
  app.add_flag("--print-config", options.print_config, "Print the whole resolved config and exit");
  app.add_option_function<std::string>(
         "--print-recipe", [&options](const std::string& name) { options.print_recipe = name; },
         "Print a recipe, to begin a config of your own with, and exit; without a name, the names of all")
      ->type_name("{" + ae::join(recipes, ",", recipes.size()) + "}")
      ->expected(0, 1);
  app.add_flag("--print-schema", options.print_schema, "Print the JSON Schema of config files and exit");
  app.add_flag("--print-settings", options.print_settings,
               "Print every setting with range, default and meaning, and exit");
}

void print(std::string_view text) {
  auto output = ae::Output::open("-", false);
  output.write(text);
  output.commit();
}

// The recipe's text; or the names of all.
std::string recipe_page(const std::string& name) {
  const auto recipes = ae::recipe::recipes();
  if (!name.empty()) return std::string(ae::config::find_recipe(recipes, name).text);
  std::string names;
  for (const auto& recipe : recipes) names += std::string(recipe.name) + "\n";
  return names;
}

// A table of which no label is known trains on all its rows.
bool all_rows_are_normal(ae::recipe::Config& config) {
  const auto json = nlohmann::json::parse(ae::config::to_json(config, ae::config::Paths::as_written));
  return json.at("/data/type"_json_pointer) == "table" && json.at("/data/label"_json_pointer) == "";
}

// The config that the command line asks for: of a file, of a recipe, or of the recipe for the data.
void read_config(ae::recipe::Config& config, const Options& options, ae::Reporter& reporter) {
  std::vector<ae::config::Override> overrides;
  for (const auto& argument : options.set) overrides.push_back(ae::config::parse_override(argument));
  const bool from_file = !options.input.empty() && ae::recipe::is_config(options.input);
  if (from_file && !options.recipe.empty()) {
    throw ae::UsageError("--recipe " + options.recipe + ": " + options.input +
                         " is a config already; give one of the two, or write {\"extends\": \"recipe:" +
                         options.recipe + "\"} into the config");
  }
  if (!from_file && !options.input.empty() && !options.data.empty()) {
    throw ae::UsageError("--data " + options.data + ": " + options.input +
                         " is training data already; give one of them");
  }
  const std::string& data = from_file || options.input.empty() ? options.data : options.input;
  if (!data.empty()) overrides.push_back({"/data/path", nlohmann::json(data).dump()});
  const auto recipes = ae::recipe::recipes();
  if (from_file) return ae::config::read_file(config, options.input, overrides, recipes);
  if (!options.recipe.empty()) return ae::config::read_recipe(config, options.recipe, overrides, recipes);
  if (data.empty()) {
    throw ae::UsageError(
        "no training data and no config given; try \"ae-train DATA.csv --out DIR\", and see ae-train --help for more");
  }
  const std::string recipe(ae::recipe::default_recipe(data));
  ae::config::read_recipe(config, recipe, overrides, recipes);
  reporter.info("no config given: trained by the recipe " + recipe + ", which --print-recipe " + recipe + " shows");
  if (all_rows_are_normal(config)) {
    reporter.info(
        "no label is known, so all rows count as normal; if a column tells, add --set /data/label=COLUMN and --set "
        "/data/normal=VALUE");
  }
}

// Who has named the label's column, before a message: an option, the config, or the recipe behind it.
std::string origin_of_label(const Options& options) {
  for (const auto& argument : options.set)
    if (argument.starts_with("/data/label=")) return "--set ";
  if (options.input.empty() || !ae::recipe::is_config(options.input)) return "recipe:" + options.recipe + ": ";
  if (options.input == "-") return options.input + ": ";  // read, and gone
  const auto json = nlohmann::json::parse(ae::read_file(options.input, ae::FileKind::config), nullptr, false);
  const bool extends = json.is_object() && json.contains("extends") && json["extends"].is_string();
  if (!extends || json.contains("/data/label"_json_pointer)) return options.input + ": ";
  return options.input + ", by " + json["extends"].get<std::string>() + ": ";
}

// Puts it before the problem that the table has no such column.
std::vector<std::string> with_origin(std::vector<std::string> problems, const Options& options) {
  for (auto& problem : problems)
    if (problem.starts_with("/data/label: ")) problem.insert(0, origin_of_label(options));
  return problems;
}

int run(Options& options, ae::cli::Context& context) {
  ae::recipe::Config config;
  if (options.print_recipe) {
    print(recipe_page(*options.print_recipe));
    return 0;
  }
  if (options.print_schema) {
    print(ae::config::json_schema(config, "aetools training config"));
    return 0;
  }
  if (options.print_settings) {
    print(ae::config::describe(config));
    return 0;
  }
  read_config(config, options, context.reporter);
  if (options.print_config) {
    print(ae::config::to_json(config, ae::config::Paths::resolved));
    return 0;
  }
  if (options.folder.empty()) throw ae::UsageError("no output folder given; add --out DIR");
  try {
    ae::train::run(config,
                   {options.folder, options.from, options.resume, context.options.force, context.options.threads,
                    context.arguments, ae::world_of_environment(), options.peer_timeout},
                   context.reporter);
  } catch (const ae::UsageError& error) {
    throw ae::UsageError(with_origin(error.lines(), options));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
