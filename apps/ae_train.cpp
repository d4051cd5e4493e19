// ae-train: learns what normal looks like.
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/world.hpp"
#include "config/document.hpp"
#include "model_program.hpp"
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
     {"ae-train configs/pcb-inspection.json --data good-boards --out runs/boards", "learn the images of a folder"}},
    ae::apps::launcher_variables(
        {{"MASTER_ADDR", "The machine of rank 0, where several processes meet; may be left out when all run on one"},
         {"MASTER_PORT", "The port there (default 29500)"},
         {"GLOO_SOCKET_IFNAME", "The network to meet by, instead of the one that leads to MASTER_ADDR"}}),
    {{"DIR/model.safetensors", "The model: weights, config, columns, scaling and calibration in one file"},
     {"DIR/config.json", "The config with all settings, defaults and overrides included"},
     {"DIR/metrics.csv", "Losses and seconds of every epoch"},
     {"DIR/run.json", "Command line, versions, hashes of config and data, and times"},
     {"DIR/distrusted.idx", "With /training/trim: the training rows that do not count as normal"},
     {"share/doc/aetools/configs", "Below the folder that aetools was installed into: the configs of the examples"}},
    {{"--set", settings}}};

struct Options {
  std::string config;
  std::string folder;
  std::vector<std::string> set;
  std::string data;
  double peer_timeout = ae::train::kPeerTimeoutSeconds;
  bool resume = false;
  bool print_config = false;
  bool print_schema = false;
  bool print_settings = false;
};

void declare(CLI::App& app, Options& options) {
  app.add_option("config", options.config, "JSON config file")->type_name("CONFIG.json");
  app.add_option("-o,--out", options.folder, "Folder for model.safetensors, config.json, metrics.csv and run.json")
      ->type_name("DIR");
  app.add_option("--set", options.set, "Override one setting, for example /training/epochs=50; repeat for several")
      ->type_name("POINTER=VALUE")
      ->expected(1)
      ->take_all();
  app.add_option("--data", options.data, "Training data; the same as --set /data/path=PATH")->type_name("PATH");
  app.add_flag("--resume", options.resume, "Continue an interrupted run in DIR, to the same bytes");
  ae::cli::add_number(app, "--peer-timeout", options.peer_timeout,
                      "Seconds that a silent one of several processes is waited for before the others end", 0.1, 1e6)
      ->capture_default_str();
  app.add_flag("--print-config", options.print_config, "Print the whole resolved config and exit");
  app.add_flag("--print-schema", options.print_schema, "Print the JSON Schema of config files and exit");
  app.add_flag("--print-settings", options.print_settings,
               "Print every setting with range, default and meaning, and exit");
}

void print(std::string_view text) {
  auto output = ae::Output::open("-", false);
  output.write(text);
  output.commit();
}

int run(Options& options, ae::cli::Context& context) {
  ae::recipe::Config config;
  if (options.print_schema) {
    print(ae::config::json_schema(config, "aetools training config"));
    return 0;
  }
  if (options.print_settings) {
    print(ae::config::describe(config));
    return 0;
  }
  if (options.config.empty()) throw ae::UsageError("no config file given; see ae-train --help for examples");
  std::vector<ae::config::Override> overrides;
  for (const auto& argument : options.set) overrides.push_back(ae::config::parse_override(argument));
  if (!options.data.empty()) overrides.push_back({"/data/path", nlohmann::json(options.data).dump()});
  ae::config::read_file(config, options.config, overrides);
  if (options.print_config) {
    print(ae::config::to_json(config, ae::config::Paths::resolved));
    return 0;
  }
  if (options.folder.empty()) throw ae::UsageError("no output folder given; add --out DIR");
  ae::train::run(config,
                 {options.folder, options.resume, context.options.force, context.options.threads, context.arguments,
                  ae::world_of_environment(), options.peer_timeout},
                 context.reporter);
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return ae::apps::run_program<Options>(kProgram, declare, run, argc, argv); }
