// The processes that train one model together, and what they say to each other.
//
// A process alone is the group of size 1, for which all of this is nothing to do. All members call the same functions
// in the same order. A member that is lost (ended, unreachable, or silent for longer than the timeout) is noticed in
// the next call, which throws RunError; after that the group is of no more use.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/world.hpp"

namespace ae::train {

// What the others are waited for, unless the user says otherwise.
constexpr double kPeerTimeoutSeconds = 60;

class Group {
 public:
  Group() = default;  // a process alone
  virtual ~Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // Meets the others (c10d's Gloo over TCP; where all run on this machine, they sum in memory that they share).
  // `timeout`: how long a member may be waited for, here and later.
  // UsageError when the world has more than one process and this build no Gloo, or when the address of rank 0 is not
  // known; RunError when they do not meet.
  static std::unique_ptr<Group> join(const World& world, std::chrono::milliseconds timeout);
  static Group& alone();

  const World& world() const { return world_; }
  int size() const { return world_.size; }
  bool leader() const { return world_.leader(); }

  // What the members' numbers go through: "shared memory" or "TCP"; "" of a process alone.
  virtual std::string_view medium() const { return ""; }

  class Pending {
   public:
    virtual ~Pending() = default;
    virtual void wait() = 0;  // once; until then the numbers belong to the group
  };
  // Replaces numbers by their sums over the members, the same bits for all of them. Begins to; null: nothing to do.
  virtual std::unique_ptr<Pending> begin_sum(std::span<float>) { return nullptr; }
  virtual void sum(std::span<double>) {}
  virtual void broadcast(std::string&, int /*from*/) {}  // everyone gets what `from` has

  // Runs each member's work, which must not speak to the group, and returns when all have done theirs, however long
  // that takes. When one fails, all do: it by its own error, the others by an error with the same exit code.
  void together(const std::function<void()>& work);

 protected:
  explicit Group(World world) : world_(std::move(world)) {}

 private:
  World world_;
};

}  // namespace ae::train
