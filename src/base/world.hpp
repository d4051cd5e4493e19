// This process among those that a cluster's launcher started together, as its environment variables say.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace ae {

struct World {
  int rank = 0;          // [0, size)
  int size = 1;          // 1: nobody else
  int local_size = 1;    // how many of them run on this machine, as far as the launcher tells
  std::string address;   // host name or address of rank 0, where the others find it; "" when the launcher does not tell
  int port = 0;          // likewise, [1, 65535]
  std::string launcher;  // "torchrun", "Open MPI", "Slurm"; "" without one

  std::string started() const;  // "2 processes were started together (by ...)", of several

  bool leader() const { return rank == 0; }
  // The part [first, second) of `count` things that is this rank's: contiguous, in the order of ranks, and of the same
  // size for all but for one.
  std::pair<std::int64_t, std::int64_t> share_of(std::int64_t count) const {
    return {count * rank / size, count * (rank + 1) / size};
  }
};

// RANK and WORLD_SIZE (torchrun) come before OMPI_COMM_WORLD_RANK and _SIZE (Open MPI), and these before SLURM_PROCID
// and SLURM_NTASKS (Slurm); address and port are MASTER_ADDR and MASTER_PORT, 29500 by default. Where all run on one
// machine, the address is 127.0.0.1 by default. UsageError when a variable is not what it should be, or when RANK or
// WORLD_SIZE are there without each other.
World world_of_environment();

}  // namespace ae
