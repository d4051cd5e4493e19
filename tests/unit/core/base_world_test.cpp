#include "base/world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace ae::base_world_test {
namespace {

// The environment with these variables of a launcher and no others.
World world_with(const std::vector<std::pair<std::string, std::string>>& variables) {
  for (const char* name :
       {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOB_NUM_NODES",
        "SLURM_STEP_NUM_NODES", "SLURM_TASKS_PER_NODE", "SLURM_STEP_TASKS_PER_NODE", "SLURM_JOB_ID", "SLURM_STEP_ID",
        "TORCHELASTIC_USE_AGENT_STORE"}) {
    unsetenv(name);
  }
  for (const auto& [name, value] : variables) setenv(name.c_str(), value.c_str(), 1);
  return world_of_environment();
}

TEST(World, IsAloneWithoutALauncher) {
  const World world = world_with({});
  EXPECT_EQ(world.rank, 0);
  EXPECT_EQ(world.size, 1);
  EXPECT_TRUE(world.leader());
  EXPECT_EQ(world_with({{"SLURM_NTASKS", "8"}}).size, 1);  // a shell within an allocation
  EXPECT_EQ(world_with({{"SLURM_JOB_ID", "7"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}).size, 1);  // its script
  EXPECT_EQ(
      world_with({{"SLURM_JOB_ID", "7"}, {"SLURM_STEP_ID", "0"}, {"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}).size,
      8);
  EXPECT_EQ(world_with({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).launcher, "");
}

TEST(World, KnowsTheLaunchers) {
  const World torchrun = world_with({{"RANK", "5"},
                                     {"WORLD_SIZE", "8"},
                                     {"LOCAL_WORLD_SIZE", "4"},
                                     {"MASTER_ADDR", "node1"},
                                     {"MASTER_PORT", "4711"}});
  EXPECT_EQ(torchrun.rank, 5);
  EXPECT_EQ(torchrun.size, 8);
  EXPECT_EQ(torchrun.local_size, 4);
  EXPECT_EQ(torchrun.address, "node1");
  EXPECT_EQ(torchrun.port, 4711);
  const World mpi =
      world_with({{"OMPI_COMM_WORLD_RANK", "1"}, {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}});
  EXPECT_EQ(mpi.launcher, "Open MPI");
  EXPECT_EQ(mpi.address, "127.0.0.1");
  EXPECT_EQ(mpi.port, 29500);
  const World slurm = world_with({{"SLURM_PROCID", "3"}, {"SLURM_NTASKS", "6"}, {"SLURM_TASKS_PER_NODE", "2(x3)"}});
  EXPECT_EQ(slurm.rank, 3);
  EXPECT_EQ(slurm.size, 6);
  EXPECT_EQ(slurm.local_size, 2);
  EXPECT_EQ(slurm.address, "");  // several machines, and nobody says where the first one is
  EXPECT_EQ(world_with({{"SLURM_PROCID", "1"}, {"SLURM_NTASKS", "2"}, {"SLURM_JOB_NUM_NODES", "1"}}).address,
            "127.0.0.1");
}

TEST(World, LeavesTheAgentOfTorchrunItsPort) {
  const World world = world_with({{"RANK", "0"},
                                  {"WORLD_SIZE", "2"},
                                  {"MASTER_ADDR", "node1"},
                                  {"MASTER_PORT", "29500"},
                                  {"TORCHELASTIC_USE_AGENT_STORE", "True"}});
  EXPECT_EQ(world.port, 29501);
}

TEST(World, RefusesWhatIsNoNumberInRange) {
  for (const auto& [rank, size] : std::vector<std::pair<std::string, std::string>>{
           {"0", "0"}, {"0", "-1"}, {"0", "two"}, {"0", "2.0"}, {"0", " 2"}, {"2", "2"}, {"-1", "2"}, {"", "2"}}) {
    EXPECT_THROW(world_with({{"RANK", rank}, {"WORLD_SIZE", size}}), UsageError) << rank << " of " << size;
  }
}

TEST(World, SharesCoverEverythingOnceInOrder) {
  for (const std::int64_t count : {0, 1, 2, 7, 1000}) {
    for (int size = 1; size <= 9; ++size) {
      std::int64_t expected = 0;
      for (int rank = 0; rank < size; ++rank) {
        World world;
        world.rank = rank;
        world.size = size;
        const auto [first, last] = world.share_of(count);
        EXPECT_EQ(first, expected);
        EXPECT_THAT(last - first, testing::AnyOf(count / size, count / size + 1));
        expected = last;
      }
      EXPECT_EQ(expected, count);
    }
  }
}

}  // namespace
}  // namespace ae::base_world_test
