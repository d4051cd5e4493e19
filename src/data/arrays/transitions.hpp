// Transitions (observation, action, reward, next observation, end) of reinforcement learning in files of arrays, as
// D4RL, Minari, Gymnasium and NumPy users write them.
//
// Arrays are found by names (see transition_names()). They lie in one of four ways:
// - flat: all [transitions, ...]; observations may have one row more, the last next observation of a single episode;
// - by episodes: [episodes, steps, ...], observations [episodes, steps + 1, ...] or as many as steps;
// - by steps, as rollouts of vector environments: [steps, environments, ...], observations [steps + 1, environments,
//   ...] or as many as steps; transitions are counted as they lie, environment by environment of each step;
// - in groups episode_0, episode_1, ... (Minari), each flat as above.
//
// The next observation is stored, in an array of its own or as the row behind an episode's last step, or else it is the
// next row's observation (by steps that of the same environment): never across an episode's end, where there is then
// none. Where they are stored, a row of nothing but NaN stands for none.
//
// Terminated and truncated are different things: after the end of a task nothing is to come, so that a target has no
// next value; an episode that was merely cut off goes on as far as targets are concerned.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/arrays/array_file.hpp"

namespace ae::data {

enum class TransitionRole { observations, next_observations, actions, rewards, terminations, truncations, episodes };
constexpr std::size_t kTransitionRoles = 7;

struct TransitionNames {
  TransitionRole role;
  const char* name;                // "next-observations", as users call the role
  std::vector<std::string> known;  // what arrays of it are called, the likeliest first
};
const std::vector<TransitionNames>& transition_names();

// Of arrays with two leading dimensions. `told`: by their shapes, or by ends that all lie in the last column.
enum class TransitionLayout { told, episodes, steps };

struct TransitionOptions {
  std::vector<std::pair<TransitionRole, std::string>> arrays;  // named by the user
  TransitionLayout layout = TransitionLayout::told;
  // Of vector environments that reset themselves in the step after an end (Gymnasium 1.0 and later): that row is none.
  bool resets_are_rows = false;
  // Only observations are asked for: a file need not tell where episodes end, and where it does not, no next
  // observation of it means anything.
  bool only_observations = false;
};

// Some transitions, one after another. Rows are row-major.
struct TransitionBlock {
  std::int64_t first = 0, count = 0;
  std::vector<double> observations;                 // [count, width]
  std::vector<double> next;                         // [count, width]; 0 where there is none
  std::vector<double> actions;                      // [count, action width]; empty: not in the file
  std::vector<double> rewards;                      // [count]; empty: not in the file
  std::vector<std::uint8_t> terminated, truncated;  // [count]
  std::vector<std::uint8_t> last;                   // [count] of an episode, as far as the file tells
  std::vector<std::uint8_t> has_next;               // [count]
  std::vector<std::uint8_t> reset;                  // [count] not a transition: see resets_are_rows
};

class TransitionReader {
 public:
  virtual ~TransitionReader() = default;
  // Up to `most` transitions; false at the end, where checksums were compared.
  virtual bool next(std::int64_t most, TransitionBlock& block) = 0;
};

class Transitions {
 public:
  // InputError, one line: no observations, several arrays that could be meant, shapes that do not go together, nothing
  // that tells episodes apart, or episodes from environments, where next observations are to be taken from the next
  // row.
  // `like`: a file of the same transitions with other observations, which must outlive this. The file may then hold
  // observations only; episodes, ends and the rest are those of `like`. Where `like` stores next observations and the
  // file does not, the next row is taken only where it is the next observation in `like`, to the last bit. Arrays that
  // the user named are looked for by their usual names where the file has none of that name.
  Transitions(std::shared_ptr<const ArrayFile> file, const TransitionOptions& options,
              const Transitions* like = nullptr);
  ~Transitions();
  Transitions(Transitions&&) noexcept;

  const std::string& name() const;
  std::int64_t size() const;                                   // transitions
  const std::vector<std::int64_t>& observation_shape() const;  // of one
  std::int64_t width() const;                                  // its elements
  std::int64_t action_width() const;
  bool has_observations() const;  // not only next ones
  bool has_actions() const;
  bool has_rewards() const;
  bool stores_next() const;  // in an array of its own
  // Next rows are taken, and nothing but terminations tells where episodes end: an episode that was cut off cannot be
  // told from one that goes on, and its last transition would get the first observation of another one.
  bool bridges_untold_ends() const;
  const ArrayInfo* find(TransitionRole role) const;  // of the first group; null: there is none
  std::unique_ptr<TransitionReader> read() const;

 private:
  friend class Reader;
  struct State;
  std::unique_ptr<State> state_;
};

// Transitions to read at once, so that a block of them stays within some 32 MB.
std::int64_t block_transitions(std::int64_t width);

}  // namespace ae::data
