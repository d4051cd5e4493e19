// What the programs around a model share: their main function, the variables of cluster launchers, and opening the
// model they were given.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "cli/app.hpp"
#include "model/threads.hpp"
#include "recipe/checkpoint.hpp"

namespace ae::apps {

// Ends the process without the destructors of static objects: those of LibTorch's registry of operators take a tenth
// of a second, for nothing. Ours are none; instruments that report at the end need them all the same.
inline int leave(int code) {
#if defined(AETOOLS_INSTRUMENTED)
  return code;
#else
  std::cout.flush();
  std::fflush(nullptr);
  std::_Exit(code);
#endif
}

// Runs a program whose own options are `Options`; `run` returns the exit code.
template <typename Options>
int run_program(const cli::Program& program, void (*declare)(CLI::App&, Options&), int (*run)(Options&, cli::Context&),
                int argc, char** argv) {
  const auto whole = [&] {
    Options options;
    return cli::run_app(
        program, argc, argv, [&](CLI::App& app) { declare(app, options); },
        [&](cli::Context& context) { return run(options, context); }, model::library_versions);
  };
  return leave(whole());
}

// For the man page of a program that a cluster's launcher may start several times; `own` are its further variables.
inline cli::Explained launcher_variables(cli::Explained own) {
  cli::Explained variables = {
      {"RANK, WORLD_SIZE, LOCAL_WORLD_SIZE",
       "Which of how many processes this one is, and how many run on this machine; set by torchrun or by hand"},
      {"OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE, OMPI_COMM_WORLD_LOCAL_SIZE", "The same, set by Open MPI's mpirun"},
      {"SLURM_PROCID, SLURM_NTASKS", "The same, set by Slurm's srun, with the variables of its step and its nodes"}};
  variables.insert(variables.end(), own.begin(), own.end());
  return variables;
}

inline void add_model(CLI::App& app, std::string& path) {
  app.add_option("model", path, "Folder that ae-train wrote, or its model.safetensors")->required()->type_name("PATH");
}

// The model, ready to be applied with the threads that --threads or its size ask for.
inline recipe::Checkpoint open_model(const std::string& path, const cli::Context& context, int processes = 1) {
  auto checkpoint = recipe::Checkpoint::open(path);
  checkpoint.use_threads(context.options.threads, processes);
  return checkpoint;
}

}  // namespace ae::apps
