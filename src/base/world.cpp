#include "base/world.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"

namespace ae {
namespace {

constexpr int kDefaultPort = 29500;  // as of torchrun
constexpr int kLargest = 1 << 20;

struct Launcher {
  const char* name;
  const char* rank;
  const char* size;
  const char* local_size;
};
constexpr std::array<Launcher, 3> kLaunchers{{
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"},
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"Slurm", "SLURM_PROCID", "SLURM_NTASKS", nullptr},
}};

const char* variable(const char* name) {
  const char* value = name != nullptr ? std::getenv(name) : nullptr;
  return value != nullptr && *value != '\0' ? value : nullptr;
}

int number(const char* name, int low, int high, const std::string& fix) {
  const char* text = variable(name);
  int value = 0;
  const char* end = text + std::strlen(text);
  const auto [stopped, error] = std::from_chars(text, end, value);
  if (error == std::errc() && stopped == end && value >= low && value <= high) return value;
  throw UsageError("environment variable " + std::string(name) + ": found " + quoted(text) + ", expected a whole " +
                   "number from " + std::to_string(low) + " to " + std::to_string(high) + "; " + fix);
}

// Of tasks on this node: "2" and "2(x3)" say that all nodes have as many.
int slurm_local_size(int size) {
  const char* nodes = variable("SLURM_STEP_NUM_NODES");
  if (nodes == nullptr) nodes = variable("SLURM_JOB_NUM_NODES");
  if (nodes != nullptr && std::strcmp(nodes, "1") == 0) return size;
  const char* tasks = variable("SLURM_STEP_TASKS_PER_NODE");
  if (tasks == nullptr) tasks = variable("SLURM_TASKS_PER_NODE");
  int each = 1;
  if (tasks != nullptr) std::from_chars(tasks, tasks + std::strlen(tasks), each);
  return each >= 1 && each <= size ? each : 1;
}

}  // namespace

std::string World::started() const {
  return std::to_string(size) + " processes were started together (by " + launcher + "'s environment variables)";
}

World world_of_environment() {
  World world;
  if ((variable("RANK") == nullptr) != (variable("WORLD_SIZE") == nullptr)) {
    const bool rank = variable("RANK") != nullptr;
    const bool other_launcher = variable("OMPI_COMM_WORLD_RANK") != nullptr || variable("SLURM_PROCID") != nullptr;
    if (!other_launcher) {
      throw UsageError(std::string("environment variable ") + (rank ? "RANK" : "WORLD_SIZE") + " is set without " +
                       (rank ? "WORLD_SIZE" : "RANK") + "; set both (torchrun does), or neither for one process");
    }
  }
  for (const auto& launcher : kLaunchers) {
    if (variable(launcher.rank) == nullptr || variable(launcher.size) == nullptr) continue;
    // A batch script itself is no task of its job: srun starts these, as a step.
    if (launcher.rank == std::string_view("SLURM_PROCID") && variable("SLURM_JOB_ID") && !variable("SLURM_STEP_ID")) {
      continue;
    }
    const std::string fix = std::string("it comes from ") + launcher.name + ", unset it for one process alone";
    world.launcher = launcher.name;
    world.size = number(launcher.size, 1, kLargest, fix);
    world.rank = number(launcher.rank, 0, world.size - 1, fix);
    if (world.size == 1) return {};
    if (launcher.local_size == nullptr) {
      world.local_size = slurm_local_size(world.size);
    } else if (variable(launcher.local_size) != nullptr) {
      world.local_size = number(launcher.local_size, 1, world.size, fix);
    }
    if (const char* address = variable("MASTER_ADDR")) {
      world.address = address;
    } else if (world.local_size == world.size) {
      world.address = "127.0.0.1";
    }
    world.port = variable("MASTER_PORT") == nullptr
                     ? kDefaultPort
                     : number("MASTER_PORT", 1, 65535, "it is where rank 0 can be reached");
    // torchrun itself listens at its port, in words that change with its version.
    const char* agent = variable("TORCHELASTIC_USE_AGENT_STORE");
    if (agent != nullptr && std::strcmp(agent, "True") == 0) world.port = std::min(world.port, 65534) + 1;
    return world;
  }
  return world;
}

}  // namespace ae
