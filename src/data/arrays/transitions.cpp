#include "data/arrays/transitions.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"

namespace ae::data {
namespace {

using Role = TransitionRole;

std::size_t place(Role role) { return static_cast<std::size_t>(role); }

// One run of rows that follow each other: the whole file, an episode of several, a group.
struct Segment {
  std::int64_t transitions = 0;
  bool one_more = false;  // observations have a row behind the last transition
  bool new_arrays = false;
  std::size_t group = 0;
};

using Arrays = std::array<const ArrayInfo*, kTransitionRoles>;

std::optional<std::int64_t> number_of_episode(const std::string& array) {
  constexpr std::string_view kBegin = "episode_";
  const auto slash = array.find('/');
  if (slash == std::string::npos || !array.starts_with(kBegin)) return std::nullopt;
  std::int64_t number = 0;
  const char *begin = array.data() + kBegin.size(), *end = array.data() + slash;
  const auto [rest, error] = std::from_chars(begin, end, number);
  return error == std::errc() && rest == end && number >= 0 ? std::optional(number) : std::nullopt;
}

std::string array_list(const ArrayFile& file) {
  std::vector<std::string> all;
  for (const auto& array : file.arrays()) all.push_back(described(array));
  return ae::join(all, ", ", 8);
}

std::string in_lower_case(std::string text) {
  for (auto& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

const ArrayInfo* find_role(const ArrayFile& file, const TransitionNames& names, const TransitionOptions& options,
                           const std::string& folder) {
  for (const auto& [role, wanted] : options.arrays) {
    if (role != names.role) continue;
    const auto* found = file.find(folder + wanted);
    if (found == nullptr) {
      std::vector<std::string> all;
      for (const auto& array : file.arrays()) all.push_back(array.name);
      throw InputError(file.name() + ": no array " + ae::quoted(folder + wanted) + did_you_mean(folder + wanted, all) +
                       "; expected one of " + ae::join(all));
    }
    return found;
  }
  for (const auto& known : names.known) {
    for (const auto& array : file.arrays())
      if (in_lower_case(array.name) == folder + known) return &array;
  }
  return nullptr;
}

Arrays find_arrays(const ArrayFile& file, const TransitionOptions& options, const std::string& folder) {
  Arrays found{};
  for (const auto& names : transition_names()) {
    const auto* array = find_role(file, names, options, folder);
    found[place(names.role)] = array;
    if (array == nullptr) continue;
    for (const auto& other : transition_names()) {
      if (other.role == names.role) break;
      if (found[place(other.role)] == array)
        throw InputError(file.name() + ": " + ae::quoted(array->name) + " would be " + other.name + " and " +
                         names.name + "; give each an array of its own with --array");
    }
    if (!array->numbers)
      throw InputError(file.name() + ": " + ae::quoted(array->name) + " is of type " + ae::quoted(array->type) +
                       "; expected numbers");
    if (array->shape.empty())
      throw InputError(file.name() + ": " + ae::quoted(array->name) + " is a single number; expected an array of " +
                       names.name);
  }
  return found;
}

InputError without_observations(const ArrayFile& file, const std::string& folder) {
  return InputError(file.name() + ": no observations" + (folder.empty() ? "" : " in " + ae::quoted(folder)) +
                    "; found " + array_list(file) +
                    "; expected an array \"observations\" or name it with --array observations=NAME");
}

// Truth values of whole numbers.
bool truth(double value) { return value != 0; }

}  // namespace

const std::vector<TransitionNames>& transition_names() {
  static const std::vector<TransitionNames> kNames{
      {Role::observations, "observations", {"observations", "observation", "obs", "states", "state", "s", "frames"}},
      {Role::next_observations,
       "next-observations",
       {"next_observations", "next_observation", "next_obs", "obs_next", "next_states", "next_state", "s_next"}},
      {Role::actions, "actions", {"actions", "action", "acts", "act", "a"}},
      {Role::rewards, "rewards", {"rewards", "reward", "rews", "rew", "r"}},
      {Role::terminations,
       "terminations",
       {"terminations", "termination", "terminated", "terminals", "terminal", "dones", "done"}},
      {Role::truncations, "truncations", {"truncations", "truncation", "truncated", "timeouts", "timeout"}},
      {Role::episodes, "episodes", {"episodes", "episode", "episode_ids", "episode_id"}}};
  return kNames;
}

struct Transitions::State {
  std::shared_ptr<const ArrayFile> file;
  TransitionOptions options;
  const State* like = nullptr;
  std::vector<std::string> folders;  // of groups; "" of one
  std::vector<Arrays> groups;        // of each folder
  std::vector<Segment> segments;
  std::vector<std::int64_t> observation_shape;
  std::int64_t transitions = 0, width = 1, action_width = 1;

  const ArrayInfo* first(Role role) const { return groups.front()[place(role)]; }
  void find_groups();
  void lay_out(std::size_t group);
  void check_ends() const;
  std::size_t leading(const Arrays& arrays) const;  // dimensions that count transitions: 1, by episodes 2
  void check_shape(const ArrayInfo& array, std::size_t skip, std::int64_t rows, const char* what) const;
};

void Transitions::State::find_groups() {
  std::vector<std::pair<std::int64_t, std::string>> numbered;
  for (const auto& array : file->arrays()) {
    const auto number = number_of_episode(array.name);
    if (!number) continue;
    const std::string folder = array.name.substr(0, array.name.find('/') + 1);
    if (numbered.empty() || numbered.back().second != folder) numbered.emplace_back(*number, folder);
  }
  std::ranges::sort(numbered);
  numbered.erase(std::unique(numbered.begin(), numbered.end()), numbered.end());
  for (auto& [number, folder] : numbered) folders.push_back(std::move(folder));
  if (folders.empty()) folders.emplace_back();
  for (const auto& folder : folders) {
    groups.push_back(find_arrays(*file, options, folder));
    const auto& arrays = groups.back();
    // An array of next observations alone is what a target needs.
    if (arrays[place(Role::observations)] == nullptr &&
        (like == nullptr || arrays[place(Role::next_observations)] == nullptr)) {
      throw without_observations(*file, folder);
    }
  }
}

// [E, T] of rewards, ends and actions says that observations [E, T or T + 1, ...] are by episodes.
std::size_t Transitions::State::leading(const Arrays& arrays) const {
  for (const auto role : {Role::rewards, Role::terminations, Role::truncations}) {
    const auto* array = arrays[place(role)];
    if (array != nullptr) return array->shape.size() >= 2 && array->shape[1] > 1 ? 2 : 1;
  }
  return 1;
}

void Transitions::State::check_shape(const ArrayInfo& array, std::size_t skip, std::int64_t rows,
                                     const char* what) const {
  const auto found = elements_of_shape(std::span(array.shape).first(std::min(skip, array.shape.size())));
  if (array.shape.size() >= skip && found == rows) return;
  throw InputError(file->name() + ": " + described(array) + " does not go with the " + std::to_string(rows) +
                   " transitions of " + what + "; expected as many " + printable(array.name));
}

void Transitions::State::lay_out(std::size_t group) {
  const auto& arrays = groups[group];
  const auto* observations = arrays[place(Role::observations)];
  const auto* next = arrays[place(Role::next_observations)];
  const auto& shown = observations != nullptr ? *observations : *next;
  const bool own = std::ranges::any_of(std::array{Role::rewards, Role::terminations, Role::truncations, Role::actions},
                                       [&](Role role) { return arrays[place(role)] != nullptr; });
  const std::size_t dimensions = own || like == nullptr ? leading(arrays) : like->leading(like->groups.front());
  if (shown.shape.size() < dimensions)
    throw InputError(file->name() + ": " + described(shown) +
                     " has too few dimensions; expected [episodes, steps, ...]");
  std::vector<std::int64_t> shape(shown.shape.begin() + static_cast<std::ptrdiff_t>(dimensions), shown.shape.end());
  const auto width_here = elements_of_shape(shape);
  if (width_here < 1 || width_here > kMostRecordElements)
    throw InputError(file->name() + ": " + described(shown) +
                     ": one observation has no or too many elements; expected 1 to " +
                     std::to_string(kMostRecordElements));
  if (group == 0) {
    observation_shape = shape;
    width = width_here;
  } else if (shape != observation_shape) {
    throw InputError(file->name() + ": " + described(shown) + " has observations of another shape than " +
                     described(*first(Role::observations)) + "; expected the same in all episodes");
  }
  // How many transitions: by what there is one of for each.
  const ArrayInfo* counter = next;
  for (const auto role : {Role::rewards, Role::terminations, Role::truncations, Role::actions, Role::episodes})
    if (counter == nullptr) counter = arrays[place(role)];
  if (counter != nullptr && counter->shape.size() < dimensions)
    throw InputError(file->name() + ": " + described(*counter) + " has too few dimensions; expected [episodes, steps]");
  const std::int64_t episodes = dimensions == 2 ? shown.shape[0] : 1;
  const std::int64_t rows = shown.shape[dimensions - 1];
  std::int64_t steps = rows;
  if (counter != nullptr)
    steps = counter->shape[dimensions - 1];
  else if (like != nullptr && group < like->groups.size())
    steps = dimensions == 2 || !folders.front().empty() ? like->segments[group].transitions : like->transitions;
  const bool one_more = observations != nullptr && rows == steps + 1;
  if (rows != steps && !one_more)
    throw InputError(file->name() + ": " + described(shown) + " has " + counted(rows, "rows") +
                     (dimensions == 2 ? " an episode" : "") + " for " + counted(steps, "transitions") +
                     "; expected as many, or one more: the last next observation");
  for (const auto& names : transition_names()) {
    const auto* array = arrays[place(names.role)];
    if (array == nullptr || names.role == Role::observations) continue;
    check_shape(*array, dimensions, episodes * steps, shown.name.c_str());
    const std::int64_t record = elements_of_shape(std::span(array->shape).subspan(dimensions));
    if (names.role == Role::actions) {
      if (record < 1 || record > kMostRecordElements || (group > 0 && record != action_width))
        throw InputError(file->name() + ": " + described(*array) + ": expected actions of one size");
      action_width = record;
    } else if (names.role == Role::next_observations ? record != width : record != 1) {
      throw InputError(file->name() + ": " + described(*array) + ": expected " +
                       (names.role == Role::next_observations ? "next observations of " + described(shown) + "'s shape"
                                                              : std::string("one number a transition")));
    }
  }
  for (std::int64_t e = 0; e < episodes && steps > 0; ++e) {
    segments.push_back({steps, one_more, e == 0, group});
    transitions += steps;
  }
}

void Transitions::State::check_ends() const {
  if (like != nullptr || first(Role::next_observations) != nullptr || segments.size() > 1 || segments.front().one_more)
    return;
  for (const auto role : {Role::terminations, Role::truncations, Role::episodes})
    if (first(role) != nullptr) return;
  throw InputError(file->name() +
                   ": next observations are to be taken from the next row, but nothing tells where "
                   "episodes end; found " +
                   array_list(*file) + "; expected \"next_observations\", or \"terminations\" and \"truncations\"");
}

Transitions::Transitions(std::shared_ptr<const ArrayFile> file, const TransitionOptions& options,
                         const Transitions* like)
    : state_(std::make_unique<State>()) {
  auto& s = *state_;
  s.file = std::move(file);
  s.options = options;
  s.like = like == nullptr ? nullptr : like->state_.get();
  s.find_groups();
  for (std::size_t group = 0; group < s.groups.size(); ++group) s.lay_out(group);
  if (s.transitions == 0) throw InputError(s.file->name() + ": has no transitions; expected at least one");
  s.check_ends();
  if (s.like == nullptr) return;
  if (s.transitions != s.like->transitions)
    throw InputError(s.file->name() + ": found " + counted(s.transitions, "transitions") + ", expected the " +
                     std::to_string(s.like->transitions) + " of " + s.like->file->name() + ", in their order");
  if (s.width != s.like->width)
    throw InputError(s.file->name() + ": an observation has " + counted(s.width, "elements") + ", expected " +
                     std::to_string(s.like->width) + " as in " + s.like->file->name());
}

Transitions::~Transitions() = default;
Transitions::Transitions(Transitions&&) noexcept = default;
const std::string& Transitions::name() const { return state_->file->name(); }
std::int64_t Transitions::size() const { return state_->transitions; }
const std::vector<std::int64_t>& Transitions::observation_shape() const { return state_->observation_shape; }
std::int64_t Transitions::width() const { return state_->width; }
std::int64_t Transitions::action_width() const { return state_->action_width; }
bool Transitions::has_observations() const { return state_->first(Role::observations) != nullptr; }
bool Transitions::has_actions() const { return state_->first(Role::actions) != nullptr; }
bool Transitions::has_rewards() const { return state_->first(Role::rewards) != nullptr; }
bool Transitions::stores_next() const { return state_->first(Role::next_observations) != nullptr; }
bool Transitions::tells_truncation() const { return state_->first(Role::truncations) != nullptr; }
const ArrayInfo* Transitions::find(TransitionRole role) const { return state_->first(role); }

// Goes through the segments, and within each reads as many rows as are asked for.
class Reader final : public TransitionReader {
 public:
  Reader(const Transitions::State& state) : s_(state) {}

  bool next(std::int64_t most, TransitionBlock& block) override {
    block.first += block.count;
    if (begun_ == 0) block.first = 0;
    block.count = 0;
    for (auto* values : {&block.observations, &block.next, &block.actions, &block.rewards}) values->clear();
    for (auto* flags : {&block.terminated, &block.truncated, &block.last, &block.has_next, &block.reset})
      flags->clear();
    while (block.count < most && (left_ > 0 || begin_segment())) {
      const auto count = std::min(most - block.count, left_);
      read(count, block);
      block.count += count;
      left_ -= count;
      if (left_ == 0) end_segment();
    }
    return block.count > 0;
  }

 private:
  const Segment& segment() const { return s_.segments[begun_ - 1]; }

  bool begin_segment() {
    throw_if_stopped("reading");
    if (begun_ == s_.segments.size()) return false;
    ++begun_;
    left_ = segment().transitions;
    carried_ = false;
    if (!segment().new_arrays) return true;
    finish();
    const auto& arrays = s_.groups[segment().group];
    for (std::size_t role = 0; role < arrays.size(); ++role)
      streams_[role] = arrays[role] == nullptr ? nullptr : s_.file->open(*arrays[role]);
    return true;
  }

  void end_segment() {
    if (begun_ == s_.segments.size()) finish();
  }

  // Only where everything was read: the row behind the last transition is, if it is a next observation.
  void finish() {
    for (auto& stream : streams_) {
      if (stream) stream->finish();
      stream.reset();
    }
  }

  bool has(Role role) const { return streams_[place(role)] != nullptr; }

  std::span<double> append(Role role, std::vector<double>& to, std::int64_t elements) {
    const auto at = to.size();
    to.resize(at + static_cast<std::size_t>(elements));
    const auto part = std::span(to).subspan(at);
    streams_[place(role)]->read(part);
    return part;
  }

  void read(std::int64_t count, TransitionBlock& block) {
    const auto first = static_cast<std::size_t>(block.count);
    const bool to_end = count == left_;
    if (has(Role::actions)) append(Role::actions, block.actions, count * s_.action_width);
    if (has(Role::rewards)) append(Role::rewards, block.rewards, count);
    read_ends(count, to_end, block);
    read_observations(count, to_end, first, block);
    mark_resets(first, block);
  }

  void read_ends(std::int64_t count, bool to_end, TransitionBlock& block) {
    const auto first = block.terminated.size(), end = first + static_cast<std::size_t>(count);
    for (auto* flags : {&block.terminated, &block.truncated, &block.last}) flags->resize(end, 0);
    const auto flags = [&](Role role, std::vector<std::uint8_t>& to) {
      if (!has(role)) return;
      numbers_.clear();
      const auto values = append(role, numbers_, count);
      for (std::size_t i = 0; i < values.size(); ++i) to[first + i] = truth(values[i]);
    };
    flags(Role::terminations, block.terminated);
    flags(Role::truncations, block.truncated);
    // "done" means either end, and says which only together with truncations.
    if (has(Role::terminations) && has(Role::truncations) && means_either_end()) {
      for (std::size_t i = first; i < end; ++i) block.terminated[i] &= !block.truncated[i];
    }
    for (std::size_t i = first; i < end; ++i) block.last[i] = block.terminated[i] || block.truncated[i];
    if (has(Role::episodes)) read_episodes(count, to_end, first, block);
    if (to_end) block.last.back() = 1;
  }

  bool means_either_end() const {
    const auto name = in_lower_case(s_.groups[segment().group][place(Role::terminations)]->name);
    return name.ends_with("done") || name.ends_with("dones");
  }

  // The number of an episode is looked at one row ahead.
  void read_episodes(std::int64_t count, bool to_end, std::size_t first, TransitionBlock& block) {
    numbers_.clear();
    if (episode_) numbers_.push_back(*episode_);
    append(Role::episodes, numbers_, count + (to_end ? 0 : 1) - (episode_ ? 1 : 0));
    for (std::size_t i = 0; i + 1 < numbers_.size(); ++i)
      if (numbers_[i] != numbers_[i + 1]) block.last[first + i] = 1;
    episode_.reset();
    if (!to_end) episode_ = numbers_.back();
  }

  void read_observations(std::int64_t count, bool to_end, std::size_t first, TransitionBlock& block) {
    const auto width = static_cast<std::size_t>(s_.width);
    if (!has(Role::observations)) {
      block.observations.resize(block.observations.size() + static_cast<std::size_t>(count) * width, 0);
      read_next(count, block);
      return;
    }
    if (has(Role::next_observations)) {
      append(Role::observations, block.observations, count * s_.width);
      read_next(count, block);
      if (to_end && segment().one_more) {
        numbers_.clear();
        append(Role::observations, numbers_, s_.width);
      }
      return;
    }
    // One row ahead: the carried one, and all but the carried one of the block, which is its successor.
    const bool beyond = !to_end || segment().one_more;
    rows_.clear();
    if (carried_) rows_ = carry_;
    append(Role::observations, rows_, (count + (beyond ? 1 : 0) - (carried_ ? 1 : 0)) * s_.width);
    const auto rows = rows_.size() / width;
    const auto begin = rows_.begin();
    block.observations.insert(block.observations.end(), begin,
                              begin + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(count) * width));
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const bool own_row = to_end && segment().one_more && i + 1 == static_cast<std::size_t>(count);
      const bool there = i + 1 < rows && (own_row || !block.last[first + i]);
      block.has_next.push_back(there);
      if (!there) {
        block.next.resize(block.next.size() + width, 0);
        continue;
      }
      const auto from = begin + static_cast<std::ptrdiff_t>((i + 1) * width);
      block.next.insert(block.next.end(), from, from + static_cast<std::ptrdiff_t>(width));
    }
    carried_ = !to_end;
    if (carried_) carry_.assign(rows_.end() - static_cast<std::ptrdiff_t>(width), rows_.end());
  }

  void read_next(std::int64_t count, TransitionBlock& block) {
    const auto rows = append(Role::next_observations, block.next, count * s_.width);
    const auto width = static_cast<std::size_t>(s_.width);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const auto row = rows.subspan(i * width, width);
      block.has_next.push_back(!std::isnan(row.front()));
      if (!block.has_next.back()) std::ranges::fill(row, 0);
    }
  }

  void mark_resets(std::size_t first, TransitionBlock& block) {
    for (std::size_t i = first; i < block.has_next.size(); ++i) {
      const bool reset = s_.options.resets_are_rows && after_end_ && !block.last[i];
      block.reset.push_back(reset);
      after_end_ = block.last[i] != 0;
    }
  }

  const Transitions::State& s_;
  std::array<std::unique_ptr<ArrayStream>, kTransitionRoles> streams_;
  std::size_t begun_ = 0;  // segments
  std::int64_t left_ = 0;  // transitions of the segment
  std::vector<double> carry_, rows_, numbers_;
  std::optional<double> episode_;  // of the next row
  bool carried_ = false, after_end_ = false;
};

std::unique_ptr<TransitionReader> Transitions::read() const { return std::make_unique<Reader>(*state_); }

std::int64_t block_transitions(std::int64_t width) {
  constexpr std::int64_t kNumbers = 1 << 21, kMost = 4096;
  return std::clamp<std::int64_t>(kNumbers / std::max<std::int64_t>(width, 1), 1, kMost);
}

}  // namespace ae::data
