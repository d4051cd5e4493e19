// What the programs around a model share: their main function, and opening the model they were given.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/app.hpp"
#include "model/threads.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apps {

// Runs a program whose own options are `Options`; `run` returns the exit code.
template <typename Options>
int run_program(const cli::Program& program, void (*declare)(CLI::App&, Options&), int (*run)(Options&, cli::Context&),
                int argc, char** argv) {
  Options options;
  return cli::run_app(
      program, argc, argv, [&](CLI::App& app) { declare(app, options); },
      [&](cli::Context& context) { return run(options, context); }, model::library_versions);
}

inline void add_model(CLI::App& app, std::string& path) {
  app.add_option("model", path, "Folder that ae-train wrote, or its model.safetensors")->required();
}

// The model, ready to be applied with the threads that --threads or its size ask for.
inline recipe::Checkpoint open_model(const std::string& path, const cli::Context& context, int processes = 1) {
  auto checkpoint = recipe::Checkpoint::open(path);
  checkpoint.use_threads(context.options.threads, processes);
  return checkpoint;
}

}  // namespace ae::apps
