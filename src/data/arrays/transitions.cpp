#include "data/arrays/transitions.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
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
  std::int64_t stride = 1;  // rows from a transition to the next of the same environment
  bool one_more = false;    // observations have `stride` rows behind the last transition
  bool is_episode = false;  // so that its last transition is one's last
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

// The arrays of one folder.
struct Folder {
  std::map<std::string, const ArrayInfo*> by_name, by_lower_case;  // without the folder; the first of equal ones
};

// All folders at once, since files of Minari have thousands.
std::map<std::string, Folder> folders_of(const ArrayFile& file) {
  std::map<std::string, Folder> folders;
  for (const auto& array : file.arrays()) {
    const auto slash = array.name.find('/');
    const auto begin = slash == std::string::npos ? 0 : slash + 1;
    const auto name = array.name.substr(begin);
    auto& folder = folders[array.name.substr(0, begin)];
    folder.by_name.emplace(name, &array);
    folder.by_lower_case.emplace(in_lower_case(name), &array);
  }
  return folders;
}

// `lenient`: usual names do where there is no array of the user's.
const ArrayInfo* find_role(const ArrayFile& file, const TransitionNames& names, const TransitionOptions& options,
                           const std::string& folder, const Folder& arrays, bool lenient) {
  for (const auto& [role, wanted] : options.arrays) {
    if (role != names.role) continue;
    if (const auto found = arrays.by_name.find(wanted); found != arrays.by_name.end()) return found->second;
    if (lenient) break;
    std::vector<std::string> all;
    for (const auto& array : file.arrays()) all.push_back(array.name);
    throw InputError(file.name() + ": no array " + ae::quoted(folder + wanted) + did_you_mean(folder + wanted, all) +
                     "; expected one of " + ae::join(all));
  }
  for (const auto& known : names.known)
    if (const auto found = arrays.by_lower_case.find(known); found != arrays.by_lower_case.end()) return found->second;
  return nullptr;
}

Arrays find_arrays(const ArrayFile& file, const TransitionOptions& options, const std::string& folder,
                   const Folder& inside, bool lenient) {
  Arrays found{};
  for (const auto& names : transition_names()) {
    const auto* array = find_role(file, names, options, folder, inside, lenient);
    found[place(names.role)] = array;
    if (array == nullptr) continue;
    for (const auto& other : transition_names()) {
      if (other.role == names.role) break;
      if (found[place(other.role)] == array)
        throw InputError(file.name() + ": " + ae::quoted(array->name) + " would be " + other.name + " and " +
                         names.name + "; give each an array of its own, with --array or, in a config, /data/arrays");
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
                    "; expected an array \"observations\" or name it, with --array observations=NAME, or in a config "
                    "by /data/arrays");
}

// Truth values of whole numbers.
bool truth(double value) { return value != 0; }

bool means_either_end(const ArrayInfo& terminations) {
  const auto name = in_lower_case(terminations.name);
  return name.ends_with("done") || name.ends_with("dones");
}

// As a network would take them alike: dimensions of 1 do not count, and a flat observation is of any shape.
bool same_observations(std::vector<std::int64_t> one, std::vector<std::int64_t> other) {
  std::erase(one, 1);
  std::erase(other, 1);
  return one == other ||
         (std::min(one.size(), other.size()) <= 1 && elements_of_shape(one) == elements_of_shape(other));
}

std::string shape_text(const std::vector<std::int64_t>& shape) { return described({"", shape, "", true}).substr(1); }

// Whether arrays [a, b] lie by episodes: all ends are in the last column. Told by terminations, truncations and the
// numbers of episodes, which do not change within a row.
class ColumnsOfEnds {
 public:
  explicit ColumnsOfEnds(const ArrayFile& file) : file_(file) {}

  void look_at(const ArrayInfo& array, bool numbers) {
    const auto stream = file_.open(array);
    std::vector<double> row(static_cast<std::size_t>(array.shape[1]));
    rows_ = static_cast<double>(array.shape[0]);
    columns_ = static_cast<double>(row.size());
    for (std::int64_t i = 0; i < array.shape[0]; ++i) {
      throw_if_stopped("reading");
      stream->read(row);
      for (std::size_t k = 0; k + 1 < row.size(); ++k)
        inside = inside || (numbers ? row[k] != row[k + 1] : truth(row[k]));
      ends_ += numbers || truth(row.back());
    }
    stream->finish();
  }

  bool inside = false;  // an end within a row
  // In every row, or in so many that, had rows been steps, all ends would have been those of one environment less than
  // once in 1000 times.
  bool by_episodes() const { return !inside && (ends_ >= rows_ || ends_ * std::log(columns_) > std::log(1000)); }

 private:
  const ArrayFile& file_;
  double rows_ = 1, columns_ = 1, ends_ = 0;
};

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
  std::vector<std::int64_t> steps;  // of each group: transitions, by episodes those of one
  bool by_steps = false;            // [steps, environments, ...]
  std::vector<std::int64_t> observation_shape;
  std::int64_t transitions = 0, width = 1, action_width = 1;

  const ArrayInfo* first(Role role) const { return groups.front()[place(role)]; }
  void find_groups();
  void lay_out(std::size_t group);
  void check_ends() const;
  std::size_t leading(const Arrays& arrays) const;  // dimensions that count transitions: 1, by episodes or steps 2
  // Of arrays with two such dimensions; `counter`: one of as many rows as there are transitions, or null.
  struct TwoDimensions {
    bool by_steps = false, episodes = false;  // rows are known to be episodes; neither: cannot be told, and need not be
  };
  TwoDimensions two_dimensions(const Arrays& arrays, const ArrayInfo& shown, const ArrayInfo* counter, bool own) const;
  void check_shape(const ArrayInfo& array, std::span<const std::int64_t> counts, const char* what) const;
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
  const auto arrays_of = folders_of(*file);
  for (const auto& folder : folders) {
    const auto inside = arrays_of.find(folder);
    groups.push_back(
        find_arrays(*file, options, folder, inside == arrays_of.end() ? Folder() : inside->second, like != nullptr));
    const auto& arrays = groups.back();
    // An array of next observations alone is what a target needs.
    if (arrays[place(Role::observations)] == nullptr &&
        (like == nullptr || arrays[place(Role::next_observations)] == nullptr)) {
      throw without_observations(*file, folder);
    }
  }
}

// [E, T] of rewards, ends and actions says that observations [E, T or T + 1, ...] are by episodes, or all are by steps.
std::size_t Transitions::State::leading(const Arrays& arrays) const {
  for (const auto role : {Role::rewards, Role::terminations, Role::truncations}) {
    const auto* array = arrays[place(role)];
    if (array != nullptr) return array->shape.size() >= 2 && array->shape[1] > 1 ? 2 : 1;
  }
  return 1;
}

Transitions::State::TwoDimensions Transitions::State::two_dimensions(const Arrays& arrays, const ArrayInfo& shown,
                                                                     const ArrayInfo* counter, bool own) const {
  if (!own && like != nullptr) return {like->by_steps, like->segments.front().is_episode};
  if (options.layout != TransitionLayout::told)
    return {options.layout == TransitionLayout::steps, options.layout == TransitionLayout::episodes};
  if (counter != nullptr && counter->shape[0] + 1 == shown.shape[0] && counter->shape[1] == shown.shape[1])
    return {true, false};
  if (counter != nullptr && counter->shape[1] + 1 == shown.shape[1]) return {false, true};
  ColumnsOfEnds ends(*file);
  const ArrayInfo* looked_at = counter;
  for (const auto role : {Role::terminations, Role::truncations, Role::episodes}) {
    const auto* array = arrays[place(role)];
    if (array == nullptr || array->shape.size() < 2 || elements_of_shape(array->shape) > (std::int64_t{1} << 32))
      continue;
    looked_at = array;
    ends.look_at(*array, role == Role::episodes);
  }
  if (ends.by_episodes()) return {false, true};
  // Where every transition has its next observation, or it is compared with that, it is of no account.
  const bool next_known = arrays[place(Role::next_observations)] != nullptr ||
                          (like != nullptr && like->first(Role::next_observations) != nullptr);
  if ((next_known && !options.resets_are_rows) || options.only_observations) return {};
  throw InputError(file->name() + ": " + described(shown) +
                   " may be [episodes, steps, ...] or [steps, environments, ...]: " +
                   (ends.inside ? "an end lies inside a row of " + described(*looked_at) : "too few ends tell which") +
                   "; say so with --layout episodes or --layout steps");
}

void Transitions::State::check_shape(const ArrayInfo& array, std::span<const std::int64_t> counts,
                                     const char* what) const {
  if (array.shape.size() >= counts.size() && std::ranges::equal(std::span(array.shape).first(counts.size()), counts))
    return;
  throw InputError(file->name() + ": " + described(array) + " does not go with the " +
                   std::to_string(elements_of_shape(counts)) + " transitions of " + what + "; expected as many " +
                   printable(array.name));
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
                     described(*first(observations != nullptr ? Role::observations : Role::next_observations)) +
                     "; expected the same in all episodes");
  }
  // How many transitions: by what there is one of for each.
  const ArrayInfo* counter = next;
  for (const auto role : {Role::rewards, Role::terminations, Role::truncations, Role::actions, Role::episodes})
    if (counter == nullptr) counter = arrays[place(role)];
  if (counter != nullptr && counter->shape.size() < dimensions)
    throw InputError(file->name() + ": " + described(*counter) + " has too few dimensions; expected [episodes, steps]");
  TwoDimensions known;
  if (dimensions == 2) known = two_dimensions(arrays, shown, counter, own);
  by_steps = known.by_steps;
  const std::size_t along = dimensions == 2 && !by_steps ? 1 : 0;  // the dimension of time
  const std::int64_t lanes = dimensions == 2 ? shown.shape[1 - along] : 1, rows = shown.shape[along];
  std::int64_t count = rows;
  if (counter != nullptr)
    count = counter->shape[along];
  else if (like != nullptr && group < like->groups.size())
    count = dimensions == 2 || !folders.front().empty() ? like->steps[group] : like->transitions;
  const bool one_more = observations != nullptr && rows == count + 1;
  if (rows != count && !one_more)
    throw InputError(file->name() + ": " + described(shown) + " has " + counted(rows, "rows") +
                     (along == 1 ? " an episode" : "") + " for " + counted(count, "transitions") +
                     "; expected as many, or one more: the last next observation");
  std::vector<std::int64_t> counts{count};
  if (dimensions == 2) counts.insert(by_steps ? counts.end() : counts.begin(), lanes);
  for (const auto& names : transition_names()) {
    const auto* array = arrays[place(names.role)];
    if (array == nullptr || names.role == Role::observations) continue;
    check_shape(*array, counts, shown.name.c_str());
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
  steps.push_back(count);
  if (count == 0 || lanes == 0) return;
  transitions += count * lanes;
  if (by_steps) {
    segments.push_back({count * lanes, lanes, one_more, false, true, group});
    return;
  }
  // A flat file may end anywhere, but a row behind its last transition says that this was an episode's.
  const bool is_episode = dimensions == 2 ? known.episodes : one_more || !folders.front().empty();
  for (std::int64_t e = 0; e < lanes; ++e) segments.push_back({count, 1, one_more, is_episode, e == 0, group});
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
  if (!options.only_observations) s.check_ends();
  if (s.like == nullptr) return;
  if (s.transitions != s.like->transitions)
    throw InputError(s.file->name() + ": found " + counted(s.transitions, "transitions") + ", expected the " +
                     std::to_string(s.like->transitions) + " of " + s.like->file->name() + ", in their order");
  if (s.width != s.like->width)
    throw InputError(s.file->name() + ": an observation has " + counted(s.width, "elements") + ", expected " +
                     std::to_string(s.like->width) + " as in " + s.like->file->name());
  if (!same_observations(s.observation_shape, s.like->observation_shape))
    throw InputError(s.file->name() + ": an observation is of shape " + shape_text(s.observation_shape) +
                     ", expected " + shape_text(s.like->observation_shape) + " as in " + s.like->file->name() +
                     "; transpose it");
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
bool Transitions::bridges_untold_ends() const {
  const auto* terminations = state_->first(Role::terminations);
  return !stores_next() && terminations != nullptr && !means_either_end(*terminations) &&
         !state_->segments.front().is_episode && state_->first(Role::truncations) == nullptr &&
         state_->first(Role::episodes) == nullptr;
}
const ArrayInfo* Transitions::find(TransitionRole role) const { return state_->first(role); }

namespace {

// Of the transitions of a file that stores next observations, one after another: whether that is the observation some
// rows further.
class FollowedRows {
 public:
  FollowedRows(std::unique_ptr<TransitionReader> reader, std::int64_t width)
      : reader_(std::move(reader)), width_(static_cast<std::size_t>(width)) {}

  // Of the next `count`.
  std::vector<std::uint8_t> take(std::int64_t count, std::int64_t stride) {
    const auto wanted = static_cast<std::size_t>(count + stride) * width_;
    while (observations_.size() < wanted &&
           reader_->next(block_transitions(static_cast<std::int64_t>(width_)), block_)) {
      observations_.insert(observations_.end(), block_.observations.begin(), block_.observations.end());
      next_.insert(next_.end(), block_.next.begin(), block_.next.end());
    }
    std::vector<std::uint8_t> followed;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const auto begin = i * width_, behind = begin + static_cast<std::size_t>(stride) * width_;
      followed.push_back(behind + width_ <= observations_.size() &&
                         std::ranges::equal(std::span(next_).subspan(begin, width_),
                                            std::span(observations_).subspan(behind, width_)));
    }
    const auto done = static_cast<std::ptrdiff_t>(static_cast<std::size_t>(count) * width_);
    observations_.erase(observations_.begin(), observations_.begin() + done);
    next_.erase(next_.begin(), next_.begin() + done);
    return followed;
  }

 private:
  std::unique_ptr<TransitionReader> reader_;
  std::size_t width_;
  TransitionBlock block_;
  std::vector<double> observations_, next_;  // of the transitions from the next one on
};

}  // namespace

// Goes through the segments, and within each reads as many rows as are asked for.
class Reader final : public TransitionReader {
 public:
  Reader(const Transitions::State& state) : s_(state) {
    if (s_.like != nullptr && s_.first(Role::next_observations) == nullptr &&
        s_.like->first(Role::next_observations) != nullptr)
      followed_.emplace(std::make_unique<Reader>(*s_.like), s_.width);
  }

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
  std::int64_t done() const { return segment().transitions - left_; }  // of the segment
  // How many of the rows from done() on are needed for `count` transitions and what follows them, of so many in all.
  std::int64_t rows_for(std::int64_t count, std::int64_t all) const {
    return std::min(count + segment().stride, all - done());
  }

  bool begin_segment() {
    throw_if_stopped("reading");
    if (begun_ == s_.segments.size()) return false;
    ++begun_;
    left_ = segment().transitions;
    rows_.clear();
    episodes_.clear();
    after_end_.assign(static_cast<std::size_t>(segment().stride), 0);
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
    if (has(Role::actions)) append(Role::actions, block.actions, count * s_.action_width);
    if (has(Role::rewards)) append(Role::rewards, block.rewards, count);
    read_ends(count, block);
    read_observations(count, first, block);
    mark_resets(first, block);
  }

  void read_ends(std::int64_t count, TransitionBlock& block) {
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
    const auto* terminations = s_.groups[segment().group][place(Role::terminations)];
    if (terminations != nullptr && has(Role::truncations) && means_either_end(*terminations)) {
      for (std::size_t i = first; i < end; ++i) block.terminated[i] &= !block.truncated[i];
    }
    for (std::size_t i = first; i < end; ++i) block.last[i] = block.terminated[i] || block.truncated[i];
    if (has(Role::episodes)) read_episodes(count, first, block);
    if (count == left_ && segment().is_episode) block.last.back() = 1;
  }

  // The number of an episode is looked at as far ahead as the next row lies.
  void read_episodes(std::int64_t count, std::size_t first, TransitionBlock& block) {
    append(Role::episodes, episodes_, rows_for(count, segment().transitions) - std::ssize(episodes_));
    const auto stride = static_cast<std::size_t>(segment().stride);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count) && i + stride < episodes_.size(); ++i)
      if (episodes_[i] != episodes_[i + stride]) block.last[first + i] = 1;
    episodes_.erase(episodes_.begin(), episodes_.begin() + static_cast<std::ptrdiff_t>(count));
  }

  void read_observations(std::int64_t count, std::size_t first, TransitionBlock& block) {
    const auto width = static_cast<std::size_t>(s_.width);
    const auto behind = segment().one_more ? segment().stride : 0;
    if (!has(Role::observations)) {
      block.observations.resize(block.observations.size() + static_cast<std::size_t>(count) * width, 0);
      read_next(count, block);
      return;
    }
    if (has(Role::next_observations)) {
      append(Role::observations, block.observations, count * s_.width);
      read_next(count, block);
      if (count == left_) {
        numbers_.clear();
        append(Role::observations, numbers_, behind * s_.width);
      }
      return;
    }
    // As many rows ahead as the next one lies: some were read before, which are carried on.
    append(Role::observations, rows_, rows_for(count, segment().transitions + behind) * s_.width - std::ssize(rows_));
    const auto begin = rows_.begin(),
               end = begin + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(count) * width);
    block.observations.insert(block.observations.end(), begin, end);
    const auto stride = static_cast<std::size_t>(segment().stride);
    const auto followed = followed_ ? followed_->take(count, segment().stride) : std::vector<std::uint8_t>();
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const bool own_row = done() + static_cast<std::int64_t>(i) >= segment().transitions - behind;
      const bool goes_on = !block.last[first + i] && (followed.empty() || followed[i]);
      const bool there = (i + stride + 1) * width <= rows_.size() && (own_row || goes_on);
      block.has_next.push_back(there);
      if (!there) {
        block.next.resize(block.next.size() + width, 0);
        continue;
      }
      const auto from = begin + static_cast<std::ptrdiff_t>((i + stride) * width);
      block.next.insert(block.next.end(), from, from + static_cast<std::ptrdiff_t>(width));
    }
    rows_.erase(begin, end);
  }

  void read_next(std::int64_t count, TransitionBlock& block) {
    const auto rows = append(Role::next_observations, block.next, count * s_.width);
    const auto width = static_cast<std::size_t>(s_.width);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const auto row = rows.subspan(i * width, width);
      block.has_next.push_back(!std::ranges::all_of(row, [](double value) { return std::isnan(value); }));
      if (!block.has_next.back()) std::ranges::fill(row, 0);
    }
  }

  void mark_resets(std::size_t first, TransitionBlock& block) {
    for (std::size_t i = first; i < block.has_next.size(); ++i) {
      auto& after_end = after_end_[(static_cast<std::size_t>(done()) + i - first) % after_end_.size()];
      block.reset.push_back(s_.options.resets_are_rows && after_end && !block.last[i]);
      after_end = block.last[i];
    }
  }

  const Transitions::State& s_;
  std::array<std::unique_ptr<ArrayStream>, kTransitionRoles> streams_;
  std::size_t begun_ = 0;                // segments
  std::int64_t left_ = 0;                // transitions of the segment
  std::vector<double> rows_, episodes_;  // from done() on, as far as they were read
  std::vector<double> numbers_;
  std::vector<std::uint8_t> after_end_;  // of each environment
  std::optional<FollowedRows> followed_;
};

std::unique_ptr<TransitionReader> Transitions::read() const { return std::make_unique<Reader>(*state_); }

std::int64_t block_transitions(std::int64_t width) {
  constexpr std::int64_t kNumbers = 1 << 21, kMost = 4096;
  return std::clamp<std::int64_t>(kNumbers / std::max<std::int64_t>(width, 1), 1, kMost);
}

}  // namespace ae::data
