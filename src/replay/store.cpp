#include "replay/store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <torch/types.h>
#include <torch/utils.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>

#include "base/counted.hpp"
#include "base/error.hpp"
#include "base/files.hpp"
#include "base/random.hpp"
#include "base/scratch_folder.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/arrays/npz_writer.hpp"
#include "data/bytes/npy.hpp"
#include "data/bytes/zip.hpp"
#include "evaluate/model_file.hpp"
#include "replay/store_manifest.hpp"

namespace ae::replay {

namespace fs = std::filesystem;

namespace {

enum Flag : std::uint8_t { kTerminated = 1, kTruncated = 2, kLast = 4, kNextShared = 8, kNextOwn = 16 };

// --- packing ---------------------------------------------------------------------------------------------------------

// Transitions as rows of observations, each once: the next observation of one is mostly the observation of the next.
class RowOrder {
 public:
  using Visit = std::function<void(const at::Tensor& rows)>;
  RowOrder(const data::Transitions& of, Visit visit)
      : of_(of), visit_(std::move(visit)), at_once_(data::block_transitions(of.width())) {}

  void add(const data::TransitionBlock& block) {
    const auto width = static_cast<std::size_t>(of_.width());
    for (std::size_t i = 0; i < static_cast<std::size_t>(block.count); ++i) {
      const auto observation = std::span(block.observations).subspan(i * width, width);
      end_transition(observation);
      flags.push_back(static_cast<std::uint8_t>((block.terminated[i] ? kTerminated : 0) |
                                                (block.truncated[i] ? kTruncated : 0) | (block.last[i] ? kLast : 0)));
      put(observation);
      has_next_ = block.has_next[i] != 0;
      const auto next = std::span(block.next).subspan(i * width, width);
      next_.assign(next.begin(), next.end());
    }
  }
  void finish() {
    end_transition({});
    hand_over();
  }

  std::vector<std::uint8_t> flags;  // of all transitions
  std::int64_t rows = 0;

 private:
  void end_transition(std::span<const double> observation) {
    if (flags.empty() || !has_next_) return;
    const bool shared = !observation.empty() && std::ranges::equal(next_, observation);
    flags.back() |= shared ? kNextShared : kNextOwn;
    if (!shared) put(next_);
    has_next_ = false;
  }

  void put(std::span<const double> row) {
    for (const double value : row)
      if (!std::isfinite(value))
        throw InputError(of_.name() + ": an observation of transition " + std::to_string(flags.size() - 1) +
                         " is not finite; expected numbers");
    buffer_.insert(buffer_.end(), row.begin(), row.end());
    ++rows;
    if (std::ssize(buffer_) >= at_once_ * of_.width()) hand_over();
  }

  void hand_over() {
    if (buffer_.empty()) return;
    visit_(torch::from_blob(buffer_.data(), {std::ssize(buffer_) / of_.width(), of_.width()}, at::kDouble));
    buffer_.clear();
  }

  const data::Transitions& of_;
  Visit visit_;
  std::int64_t at_once_;
  std::vector<double> buffer_, next_;
  bool has_next_ = false;
};

// Numbers that wait in a temporary file until their type is known.
class WaitingNumbers {
 public:
  explicit WaitingNumbers(const fs::path& folder) : file_(folder) {}

  void add(const std::vector<double>& values) {
    if (values.empty()) return;
    for (const double value : values) {
      whole_ = whole_ && value == std::floor(value) && !(value == 0 && std::signbit(value));
      single_ = single_ && (value == static_cast<double>(static_cast<float>(value)) || std::isnan(value));
      low_ = std::min(low_, value);
      high_ = std::max(high_, value);
    }
    file_.append(values.data(), values.size() * sizeof(double));
    count_ += values.size();
  }

  const char* type() const {
    if (whole_ && low_ >= 0 && high_ <= 255) return "|u1";
    if (whole_ && low_ >= -32768 && high_ <= 32767) return "<i2";
    if (whole_ && low_ >= -2147483648.0 && high_ <= 2147483647.0) return "<i4";
    return single_ ? "<f4" : "<f8";
  }

  void write(data::NpzWriter& writer) const {
    std::vector<double> piece(1 << 16);
    for (std::size_t done = 0; done < count_; done += piece.size()) {
      piece.resize(std::min(piece.size(), count_ - done));
      file_.read(done * sizeof(double), piece.data(), piece.size() * sizeof(double));
      writer.add(piece);
    }
  }

 private:
  ScratchFile file_;
  std::size_t count_ = 0;
  bool whole_ = true, single_ = true;
  double low_ = std::numeric_limits<double>::infinity(), high_ = -low_;
};

// A random sample of the transitions that bootstrap, with their true next observations.
class KeptPairs {
 public:
  KeptPairs(std::int64_t most, std::int64_t width, std::uint64_t seed)
      : most_(std::min(most, std::max<std::int64_t>(1, (1 << 24) / width))), random_(stream_key(seed, "kept pairs")) {
    if (most <= 0) most_ = 0;
  }

  void add(const data::TransitionBlock& block, std::int64_t width) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(block.count); ++i) {
      if (!block.has_next[i] || block.terminated[i] || block.reset[i] || most_ == 0) continue;
      const auto seen = seen_++;
      auto at = seen;
      if (seen >= most_) {
        at = static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(seen + 1)));
        if (at >= most_) continue;
      } else {
        numbers.push_back(0);
        rows.resize(rows.size() + static_cast<std::size_t>(width));
      }
      numbers[static_cast<std::size_t>(at)] = static_cast<double>(block.first) + static_cast<double>(i);
      std::copy_n(block.next.begin() + static_cast<std::ptrdiff_t>(i) * width, width, rows.begin() + at * width);
    }
  }

  std::vector<double> numbers, rows;

 private:
  std::int64_t most_, seen_ = 0;
  Random random_;
};

// What decoding makes of the observations.
class ErrorTotals {
 public:
  explicit ErrorTotals(std::int64_t width) : width_(width), sum_(at::zeros({width}, at::kDouble)) {
    if (width <= kMostCovariance) products_ = at::zeros({width, width}, at::kDouble);
  }

  void add(const at::Tensor& errors) {
    count_ += errors.size(0);
    sum_ += errors.sum(0);
    if (products_.defined()) products_ += errors.t().mm(errors);
    squares_ += errors.square().sum().item<double>();
    const auto each = errors.square().mean(1).sqrt().contiguous();
    each_.insert(each_.end(), each.data_ptr<double>(), each.data_ptr<double>() + each.numel());
  }

  StoreErrors finish() {
    StoreErrors found;
    const auto count = static_cast<double>(count_);
    found.rms = std::sqrt(squares_ / count / static_cast<double>(width_));
    const auto mean = (sum_ / count).contiguous();
    found.mean.assign(mean.data_ptr<double>(), mean.data_ptr<double>() + width_);
    if (products_.defined()) {
      const auto covariance = (products_ / count - mean.outer(mean)).contiguous();
      for (std::int64_t i = 0; i < width_; ++i)
        found.covariance.emplace_back(covariance.data_ptr<double>() + i * width_,
                                      covariance.data_ptr<double>() + (i + 1) * width_);
    }
    std::ranges::sort(each_);
    for (const double level : {0.5, 0.9, 0.99, 1.0})
      found.quantiles.push_back(each_[static_cast<std::size_t>(level * static_cast<double>(each_.size() - 1))]);
    return found;
  }

 private:
  static constexpr std::int64_t kMostCovariance = 64;
  std::int64_t width_, count_ = 0;
  at::Tensor sum_, products_;
  double squares_ = 0;
  std::vector<float> each_;
};

void for_each_block(const data::Transitions& transitions, Reporter& reporter,
                    const std::function<void(const data::TransitionBlock&)>& visit) {
  data::TransitionBlock block;
  const auto reader = transitions.read();
  while (reader->next(data::block_transitions(transitions.width()), block)) {
    throw_if_stopped("packing");
    visit(block);
    reporter.progress("transitions", static_cast<std::uint64_t>(block.first + block.count),
                      static_cast<std::uint64_t>(transitions.size()));
  }
  reporter.progress_done();
}

// How many rows there will be, and, for a new store, the ranges of the latents.
std::int64_t look_through(const data::Transitions& transitions, const LatentCodec& codec, StoreManifest& manifest,
                          bool ranges, Reporter& reporter) {
  if (ranges)
    for (auto& latent : manifest.latents) {
      latent.low = std::numeric_limits<double>::infinity();
      latent.high = -latent.low;
    }
  RowOrder order(transitions, [&](const at::Tensor& rows) {
    if (!ranges) return;
    const auto codes = codec.encode(rows);
    const auto low = std::get<0>(codes.min(0)), high = std::get<0>(codes.max(0));
    for (std::size_t k = 0; k < manifest.latents.size(); ++k) {
      auto& latent = manifest.latents[k];
      latent.low = std::min<double>(latent.low, low.data_ptr<float>()[k]);
      latent.high = std::max<double>(latent.high, high.data_ptr<float>()[k]);
    }
  });
  for_each_block(transitions, reporter, [&](const data::TransitionBlock& block) { order.add(block); });
  order.finish();
  return order.rows;
}

// Codes of rows as bits, handed on whole byte by whole byte.
class CodeBits {
 public:
  CodeBits(const StoreManifest& manifest, data::NpzWriter& writer) : manifest_(manifest), writer_(writer) {}

  // [n, latents]; returns them as they will be read back.
  at::Tensor add(const at::Tensor& codes) {
    auto quantised = at::empty_like(codes);
    const auto latents = static_cast<std::int64_t>(manifest_.latents.size());
    for (std::int64_t i = 0; i < codes.numel(); ++i) {
      const auto& quantiser = manifest_.latents[static_cast<std::size_t>(i % latents)];
      const double value = codes.data_ptr<float>()[i];
      const auto code = quantiser.code(value);
      clipped += value < quantiser.low || value > quantiser.high;
      put_bits(bytes_, bit_, quantiser.bits, static_cast<std::uint64_t>(code));
      bit_ += static_cast<std::uint64_t>(quantiser.bits);
      quantised.data_ptr<float>()[i] = static_cast<float>(quantiser.value(code));
    }
    const auto whole = bit_ / 8;
    writer_.add_bytes(std::string_view(bytes_).substr(0, whole));
    bytes_.erase(0, whole);
    bit_ %= 8;
    return quantised;
  }
  void finish() { writer_.add_bytes(bytes_); }

  std::int64_t clipped = 0;

 private:
  const StoreManifest& manifest_;
  data::NpzWriter& writer_;
  std::string bytes_;
  std::uint64_t bit_ = 0;
};

std::string part_name(std::size_t number) {
  auto digits = std::to_string(number);
  digits.insert(0, digits.size() < 6 ? 6 - digits.size() : 0, '0');
  return "part-" + digits + ".npz";
}

StorePart write_part(const data::Transitions& transitions, const LatentCodec& codec, const StoreManifest& manifest,
                     std::int64_t rows, const PackOptions& options, Output& output, Reporter& reporter) {
  StorePart part;
  const auto width = transitions.width();
  const auto scratch = scratch_folder();
  WaitingNumbers actions(scratch), rewards(scratch);
  KeptPairs pairs(options.pairs, width, stream_key(options.seed, "part", manifest.parts.size()));
  ErrorTotals errors(width);
  data::NpzWriter writer(output);
  const auto begin = [&](const char* name, const char* type, std::vector<std::int64_t> shape) {
    writer.begin(name, type, shape);
  };
  begin("codes", "|u1", {(rows * manifest.bits() + 7) / 8});
  CodeBits bits(manifest, writer);
  RowOrder order(transitions, [&](const at::Tensor& observations) {
    errors.add(codec.decode(bits.add(codec.encode(observations))) - observations);
  });
  for_each_block(transitions, reporter, [&](const data::TransitionBlock& block) {
    order.add(block);
    actions.add(block.actions);
    rewards.add(block.rewards);
    pairs.add(block, width);
  });
  order.finish();
  bits.finish();
  if (order.rows != rows) throw InputError(transitions.name() + ": changed while it was read");
  const auto count = transitions.size();
  begin("flags", "|u1", {count});
  writer.add_bytes({reinterpret_cast<const char*>(order.flags.data()), order.flags.size()});
  if (manifest.actions) {
    begin("actions", actions.type(), {count, manifest.action_width});
    actions.write(writer);
  }
  if (manifest.rewards) {
    begin("rewards", rewards.type(), {count});
    rewards.write(writer);
  }
  begin("pairs", "<i8", {std::ssize(pairs.numbers)});
  writer.add(pairs.numbers);
  begin("originals", "<f4", {std::ssize(pairs.numbers), width});
  writer.add(pairs.rows);
  const std::vector<double> sums(writer.sums().begin(), writer.sums().end());
  begin("checksums", "<u4", {std::ssize(sums)});
  writer.add(sums);
  writer.finish();
  part.transitions = count;
  part.observations = rows;
  part.clipped = bits.clipped;
  const auto row = width * data::element_bytes(*transitions.find(data::TransitionRole::observations));
  part.once_bytes = row * rows;
  part.original_bytes = transitions.stores_next() ? row * 2 * count : part.once_bytes;
  part.errors = errors.finish();
  return part;
}

StoreManifest new_manifest(const data::Transitions& transitions, const LatentCodec& codec, const PackOptions& options) {
  StoreManifest manifest;
  manifest.observation_shape = transitions.observation_shape();
  if (manifest.observation_shape.empty()) manifest.observation_shape = {1};
  manifest.actions = transitions.has_actions();
  manifest.rewards = transitions.has_rewards();
  manifest.action_width = transitions.action_width();
  const auto latents = codec.latents();
  if (options.bits.size() != 1 && std::ssize(options.bits) != latents)
    throw UsageError("--bits gives " + std::to_string(options.bits.size()) + " numbers; expected one, or " +
                     std::to_string(latents) + ", one for each latent of the model");
  for (std::int64_t k = 0; k < latents; ++k)
    manifest.latents.push_back({options.bits[options.bits.size() == 1 ? 0 : static_cast<std::size_t>(k)], 0, 1});
  return manifest;
}

void check_same_kind(const StoreManifest& manifest, const data::Transitions& transitions, const std::string& sha256) {
  const auto& name = transitions.name();
  if (manifest.model_sha256 != sha256)
    throw UsageError("the store was packed by another model; give that one (" + manifest.model +
                     " in the store) to add to it");
  auto shape = transitions.observation_shape();
  if (shape.empty()) shape = {1};
  if (shape != manifest.observation_shape || transitions.has_actions() != manifest.actions ||
      transitions.has_rewards() != manifest.rewards || transitions.action_width() != manifest.action_width)
    throw InputError(name +
                     ": holds other arrays, or observations or actions of another shape, than the store; expected "
                     "transitions of the same kind");
  if (transitions.size() > kMostTransitions - manifest.transitions())
    throw InputError(name + ": the store would have more than " + std::to_string(kMostTransitions) +
                     " transitions; pack into another one");
}

// The folder of a store, in which one process at a time writes.
class StoreFolder {
 public:
  // UsageError where it holds what is not a store's, or another process is writing.
  explicit StoreFolder(const fs::path& path) : path_(path) {
    std::error_code error;
    made_ = fs::create_directories(path, error);
    if (error) throw RunError(path.string() + ": cannot create the folder: " + error.message());
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor_ < 0) throw RunError(path.string() + ": cannot open the folder: " + std::strerror(errno));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      made_ = false;
      close();
      throw UsageError(path.string() + ": another ae-replay is writing to this store; wait for it");
    }
  }
  ~StoreFolder() {
    std::error_code ignored;
    if (made_) fs::remove(path_, ignored);  // if it is empty still
    close();
  }
  StoreFolder(const StoreFolder&) = delete;
  StoreFolder& operator=(const StoreFolder&) = delete;

 private:
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

  fs::path path_;
  int descriptor_ = -1;
  bool made_ = false;
};

// The manifest that is there, of a store that may be changed. UsageError otherwise.
std::optional<StoreManifest> manifest_there(const fs::path& folder, const PackOptions& options) {
  if (!is_store(folder)) {
    if (options.append) throw UsageError(folder.string() + ": is no store; leave out --append to make one");
    if (!fs::is_empty(folder))
      throw UsageError(folder.string() +
                       ": has files in it and is no store; choose another folder, since packing removes what it "
                       "replaces");
    return std::nullopt;
  }
  if (!options.append && !options.overwrite)
    throw UsageError(folder.string() + ": is a store already; give --append to add to it, or --force to replace it");
  const auto path = folder / kManifestFile;
  const auto text = read_file(path, FileKind::data);
  if (options.append) return parse_manifest(text, path.string());
  try {
    return parse_manifest(text, path.string());
  } catch (const InputError&) {
    throw UsageError(path.string() +
                     ": is not that of a store, or damaged, so that what is to be replaced is not known; choose "
                     "another folder, or remove this one");
  }
}

// Of what the store has now, and the new manifest does not name: all else stays.
void remove_replaced(const fs::path& folder, const StoreManifest& before, const StoreManifest& now) {
  std::error_code ignored;
  for (const auto& part : before.parts)
    if (std::ranges::find(now.parts, part.file, &StorePart::file) == now.parts.end())
      fs::remove(folder / part.file, ignored);
  if (before.model != now.model) fs::remove(folder / before.model, ignored);
}

// Neither the store as a whole, nor a file of it, can be packed into it.
void check_not_own(const fs::path& folder, const std::optional<StoreManifest>& there, const std::string& input) {
  std::vector<fs::path> own{folder};
  if (there)
    for (const auto& part : there->parts) own.push_back(folder / part.file);
  std::error_code ignored;
  for (const auto& path : own)
    if (fs::equivalent(path, input, ignored))
      throw UsageError("-o " + ae::quoted(folder.string(), 200) + " holds the transitions that are to be packed, " +
                       ae::quoted(input, 200) + "; choose another folder");
}

// `own`: what is there is the store's model, which is replaced where it is damaged.
void keep_model(const fs::path& from, const fs::path& to, const std::string& sha256, bool own) {
  std::error_code ignored;
  const bool there = fs::exists(to, ignored);
  if (there && sha256_of_file(to) == sha256) return;
  if (there && !own) throw RunError(to.string() + ": is another file than the model of that name; remove it");
  write_file(to, read_file(from, FileKind::data));
}

}  // namespace

bool is_store(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path / kManifestFile, ignored);
}

std::vector<fs::path> files_of_store(const fs::path& folder) {
  const auto path = folder / kManifestFile;
  const auto manifest = parse_manifest(read_file(path, FileKind::data), path.string());
  std::vector<fs::path> files{path, folder / manifest.model};
  for (const auto& part : manifest.parts) files.push_back(folder / part.file);
  return files;
}

PackTotals pack(const fs::path& model, const data::Transitions& transitions, const fs::path& folder,
                const PackOptions& options, Reporter& reporter) {
  if (!transitions.has_observations())
    throw InputError(transitions.name() + ": has next observations only; expected \"observations\"");
  const StoreFolder locked(folder);
  const auto before = manifest_there(folder, options);
  check_not_own(folder, before, transitions.name());
  const auto checkpoint = recipe::Checkpoint::open(model);
  const LatentCodec codec(checkpoint, transitions.width());
  const auto model_file = evaluate::model_file(model);
  const auto sha256 = sha256_of_file(model_file);
  auto manifest = options.append ? *before : new_manifest(transitions, codec, options);
  if (options.append) check_same_kind(manifest, transitions, sha256);
  manifest.made_by = options.made_by;
  if (!options.append) {
    manifest.model = "model-" + sha256.substr(0, 16) + ".safetensors";
    manifest.model_sha256 = sha256;
  }
  const auto rows = look_through(transitions, codec, manifest, !options.append, reporter);
  std::size_t number = manifest.parts.size();
  while (fs::exists(folder / part_name(number))) ++number;
  const auto name = part_name(number);
  auto output = Output::open(folder / name, false);
  auto part = write_part(transitions, codec, manifest, rows, options, output, reporter);
  output.commit();
  part.file = name;
  part.bytes = static_cast<std::int64_t>(fs::file_size(folder / name));
  const auto clipped = part.clipped;
  manifest.parts.push_back(std::move(part));
  if (!options.append)
    keep_model(model_file, folder / manifest.model, sha256, before && before->model == manifest.model);
  write_file(folder / kManifestFile, manifest_json(manifest));
  if (before) remove_replaced(folder, *before, manifest);
  return {transitions.size(), rows, manifest.ratio(), manifest.rms_error(), clipped};
}

// --- reading ---------------------------------------------------------------------------------------------------------

namespace {

// A member of a part, whose elements lie where they can be read anywhere.
struct PartArray {
  std::uint64_t begin = 0, header = 0, size = 0;  // of the member in the file; bytes before the elements, and in all
  std::size_t first_sum = 0;                      // of the part's checksums
  std::string type;
  data::NpyElement element;
  std::uint64_t elements = 0;
};

struct OpenPart {
  std::shared_ptr<data::RandomAccess> file;
  std::int64_t first = 0;  // number of its first transition in the store
  const StorePart* entry = nullptr;
  PartArray codes, flags, actions, rewards, pairs, originals;
  std::vector<std::uint32_t> sums;

  // InputError where they are not those that were written.
  std::vector<char> bytes(const PartArray& array, std::uint64_t first_element, std::uint64_t count) const {
    if (count == 0) return {};
    const auto first_byte = array.header + first_element * array.element.size;
    return checked(array, first_byte, first_byte + count * array.element.size);
  }
  void numbers(const PartArray& array, std::uint64_t first_element, std::span<double> to) const {
    const auto found = bytes(array, first_element, to.size());
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = array.element.number(found.data() + i * array.element.size);
  }

  // Bytes of a member, by way of all blocks in which they lie.
  std::vector<char> checked(const PartArray& array, std::uint64_t from, std::uint64_t to) const {
    constexpr auto kBlock = std::uint64_t{data::NpzWriter::kSummedBytes};
    const auto begin = from / kBlock * kBlock, end = std::min((to + kBlock - 1) / kBlock * kBlock, array.size);
    std::vector<char> all(end - begin);
    file->read_at(array.begin + begin, all.data(), all.size());
    for (std::uint64_t at = 0; at < all.size(); at += kBlock) {
      const auto size = static_cast<uInt>(std::min(kBlock, all.size() - at));
      if (crc32(0, reinterpret_cast<const Bytef*>(all.data() + at), size) !=
          sums[array.first_sum + (begin + at) / kBlock])
        throw InputError(file->name() + ": wrong checksum at byte " + std::to_string(array.begin + begin + at) +
                         "; the file is damaged, copy it or pack the transitions again");
    }
    if (from == begin && to == end) return all;
    return {all.begin() + static_cast<std::ptrdiff_t>(from - begin),
            all.begin() + static_cast<std::ptrdiff_t>(to - begin)};
  }
};

// Finds the members of a part in the order in which they were written.
class PartMembers {
 public:
  explicit PartMembers(OpenPart& part) : part_(part), members_(data::read_zip_directory(*part.file)) {
    const auto& member = find("checksums");
    const auto source = data::open_zip_member(part.file, member);
    const auto header = data::read_npy_header(*source);
    const auto count = elements_of(header);
    // As many as there are blocks in all others, so that there is memory for them.
    if (header.type != "<u4" || count < 0 || member.size != header.bytes + 4 * static_cast<std::uint64_t>(count) ||
        member.size > part.file->size())
      throw wrong("checksums", header);
    std::vector<char> bytes(4 * static_cast<std::size_t>(count));
    char beyond = 0;
    if (data::read_fully(*source, bytes.data(), bytes.size()) != bytes.size() || source->read(&beyond, 1) != 0)
      throw wrong("checksums", header);
    const auto element = *data::find_npy_element(header.type);
    for (std::size_t at = 0; at < bytes.size(); at += 4)
      part.sums.push_back(static_cast<std::uint32_t>(element.number(bytes.data() + at)));
  }

  // `elements`: how many there are to be; any number where nothing is given.
  PartArray next(const std::string& name, std::optional<std::int64_t> elements) {
    const auto& member = find(name);
    const auto header = data::read_npy_header(*data::open_zip_member(part_.file, member));
    const auto element = data::find_npy_element(header.type);
    const auto count = elements_of(header);
    if (!element || header.fortran_order || count < 0 ||
        member.size != header.bytes + static_cast<std::uint64_t>(count) * element->size ||
        (elements && count != *elements))
      throw wrong(name, header);
    PartArray array;
    array.type = header.type;
    array.element = *element;
    array.elements = static_cast<std::uint64_t>(count);
    array.header = header.bytes;
    array.size = member.size;
    array.begin = begin_of(member);
    array.first_sum = sums_;
    constexpr auto kBlock = std::uint64_t{data::NpzWriter::kSummedBytes};
    sums_ += (array.size + kBlock - 1) / kBlock;
    if (sums_ > part_.sums.size() || array.begin > part_.file->size() || array.size > part_.file->size() - array.begin)
      throw wrong(name, header);
    part_.checked(array, 0, array.header);  // the shape was read before
    return array;
  }

 private:
  const data::ZipMember& find(const std::string& name) const {
    const auto member = std::ranges::find(members_, name + ".npy", &data::ZipMember::name);
    if (member == members_.end() || member->method != 0)
      throw InputError(part_.file->name() + ": " + ae::quoted(name) +
                       " is missing, or compressed; pack the transitions again");
    return *member;
  }

  static std::int64_t elements_of(const data::NpyHeader& header) {
    std::vector<std::int64_t> shape;
    for (const auto length : header.shape)
      shape.push_back(
          static_cast<std::int64_t>(std::min<std::uint64_t>(length, std::numeric_limits<std::int64_t>::max())));
    return data::elements_of_shape(shape);
  }

  InputError wrong(const std::string& name, const data::NpyHeader& header) const {
    return InputError(part_.file->name() + ": " + ae::quoted(name) + " is of shape " +
                      data::npy_shape_text(header.shape) +
                      ", which is not what the manifest says; pack the transitions again");
  }

  std::uint64_t begin_of(const data::ZipMember& member) const {
    std::array<char, 30> local{};
    part_.file->read_at(member.header_offset, local.data(), local.size());
    const auto length = [&](std::size_t at) {
      return static_cast<std::uint64_t>(static_cast<unsigned char>(local[at])) |
             static_cast<std::uint64_t>(static_cast<unsigned char>(local[at + 1])) << 8;
    };
    return member.header_offset + local.size() + length(26) + length(28);
  }

  OpenPart& part_;
  std::vector<data::ZipMember> members_;
  std::size_t sums_ = 0;
};

}  // namespace

struct Store::State {
  fs::path folder;
  StoreManifest manifest;
  std::unique_ptr<recipe::Checkpoint> checkpoint;
  std::unique_ptr<LatentCodec> codec;
  std::vector<OpenPart> parts;

  // Latents of the observations first, first + 1, ... of a part.
  at::Tensor latents(const OpenPart& part, std::int64_t first, std::int64_t count) const {
    const auto bits = static_cast<std::uint64_t>(manifest.bits());
    const auto begin = static_cast<std::uint64_t>(first) * bits, end = static_cast<std::uint64_t>(first + count) * bits;
    const auto bytes = part.bytes(part.codes, begin / 8, (end + 7) / 8 - begin / 8);
    const std::string_view view(bytes.data(), bytes.size());
    auto latent = at::empty({count, std::ssize(manifest.latents)}, at::kFloat);
    auto* to = latent.data_ptr<float>();
    auto bit = begin % 8;
    for (std::int64_t i = 0; i < count; ++i)
      for (const auto& quantiser : manifest.latents) {
        *to++ = static_cast<float>(quantiser.value(static_cast<std::int64_t>(get_bits(view, bit, quantiser.bits))));
        bit += static_cast<std::uint64_t>(quantiser.bits);
      }
    return latent;
  }
};

// One array of some transitions of a store.
class StoreStream final : public data::BufferedArrayStream {
 public:
  StoreStream(std::shared_ptr<const Store::State> state, std::string array, std::int64_t first)
      : s_(std::move(state)), array_(std::move(array)), at_(first) {}

 private:
  // For `wanted` more numbers, or so many as are read at once.
  void fill(std::vector<double>& buffer, std::int64_t wanted) override {
    throw_if_stopped("reading");
    while (part_ == nullptr || at_ >= part_->first + part_->entry->transitions) next_part();
    const auto width = s_->manifest.width();
    const auto record = observations() ? width : array_ == "actions" ? s_->manifest.action_width : 1;
    const auto here = at_ - part_->first;
    const auto count = std::min({part_->entry->transitions - here, data::block_transitions(width),
                                 std::max<std::int64_t>(1, (wanted + record - 1) / record)});
    buffer.resize(static_cast<std::size_t>(count * record));
    if (array_ == "actions" || array_ == "rewards") {
      part_->numbers(array_ == "actions" ? part_->actions : part_->rewards, static_cast<std::uint64_t>(here * record),
                     buffer);
    } else if (!observations()) {
      for (std::int64_t i = 0; i < count; ++i) buffer[static_cast<std::size_t>(i)] = end_of(flag(here + i));
    } else {
      decode(here, count, width, buffer.data());
    }
    at_ += count;
  }

  bool observations() const { return array_ == "observations" || array_ == "next_observations"; }
  std::uint8_t flag(std::int64_t transition) const {
    return static_cast<std::uint8_t>(flags_[static_cast<std::size_t>(transition)]);
  }
  double end_of(std::uint8_t flag) const {
    if (array_ == "terminations") return flag & kTerminated ? 1 : 0;
    return (flag & kTruncated) || ((flag & kLast) && !(flag & kTerminated)) ? 1 : 0;
  }

  void decode(std::int64_t here, std::int64_t count, std::int64_t width, double* to) {
    std::vector<std::int64_t> places;
    for (std::int64_t i = 0; i < count; ++i) {
      places.push_back(row_);
      row_ += flag(here + i) & kNextOwn ? 2 : 1;
    }
    // From where a piece begins, so that a range is decoded to the same bits as the whole.
    const auto first = places.front() / LatentCodec::kPiece * LatentCodec::kPiece,
               end = std::min(places.back() + 2, part_->entry->observations);
    if (places.back() >= end)
      throw InputError(part_->file->name() + ": flags tell of more observations than there are");
    const auto rows = s_->codec->decode(s_->latents(*part_, first, end - first));
    const bool next = array_ == "next_observations";
    for (std::int64_t i = 0; i < count; ++i, to += width) {
      const auto row = places[static_cast<std::size_t>(i)] - first + (next ? 1 : 0);
      if (next && (!(flag(here + i) & (kNextShared | kNextOwn)) || row >= rows.size(0)))
        std::fill_n(to, width, std::numeric_limits<double>::quiet_NaN());
      else
        std::copy_n(rows.data_ptr<double>() + row * width, width, to);
    }
  }

  void next_part() {
    const auto found = std::ranges::find_if(
        s_->parts, [&](const OpenPart& part) { return at_ < part.first + part.entry->transitions; });
    if (found == s_->parts.end()) throw InputError(s_->folder.string() + ": ends too early");
    part_ = &*found;
    flags_ = part_->bytes(part_->flags, 0, static_cast<std::uint64_t>(part_->entry->transitions));
    row_ = at_ - part_->first;
    for (std::int64_t i = 0; i < at_ - part_->first; ++i) row_ += flag(i) & kNextOwn ? 1 : 0;
  }

  std::shared_ptr<const Store::State> s_;
  std::string array_;
  std::int64_t at_, row_ = 0;  // transition, and its observation in the part
  const OpenPart* part_ = nullptr;
  std::vector<char> flags_;  // of the part
};

class StoreArrays final : public data::ArrayFile {
 public:
  StoreArrays(std::shared_ptr<const Store::State> state, std::int64_t first, std::int64_t count)
      : s_(std::move(state)), name_(s_->folder.string()), first_(first) {
    const auto& m = s_->manifest;
    const auto add = [&](const char* name, std::vector<std::int64_t> record, const char* type) {
      record.insert(record.begin(), count);
      arrays_.push_back({name, std::move(record), type, true});
    };
    add("observations", m.observation_shape, "<f4");
    add("next_observations", m.observation_shape, "<f4");
    if (m.actions)
      add("actions", m.action_width == 1 ? std::vector<std::int64_t>{} : std::vector{m.action_width},
          type(&OpenPart::actions));
    if (m.rewards) add("rewards", {}, type(&OpenPart::rewards));
    add("terminations", {}, "|u1");
    add("truncations", {}, "|u1");
  }
  const std::string& name() const override { return name_; }
  const std::vector<data::ArrayInfo>& arrays() const override { return arrays_; }
  std::unique_ptr<data::ArrayStream> open(const data::ArrayInfo& array) const override {
    return std::make_unique<StoreStream>(s_, array.name, first_);
  }

 private:
  // What holds the numbers of all parts.
  const char* type(PartArray OpenPart::*array) const {
    bool whole = true, single = true;
    for (const auto& part : s_->parts) {
      const auto kind = std::string_view((part.*array).type).substr(1);
      whole = whole && kind.find('f') == std::string_view::npos;
      single = single && (kind == "f4" || kind == "u1" || kind == "i2");
    }
    return whole ? "<i8" : single ? "<f4" : "<f8";
  }

  std::shared_ptr<const Store::State> s_;
  std::string name_;
  std::int64_t first_;
  std::vector<data::ArrayInfo> arrays_;
};

Store::Store(std::shared_ptr<const State> state) : state_(std::move(state)) {}
Store::~Store() = default;
std::int64_t Store::size() const { return state_->manifest.transitions(); }

std::shared_ptr<const Store> Store::open(const fs::path& folder) {
  auto state = std::make_shared<State>();
  state->folder = folder;
  const auto path = folder / kManifestFile;
  state->manifest = parse_manifest(read_file(path, FileKind::data), path.string());
  const auto& m = state->manifest;
  const auto model = folder / m.model;
  state->checkpoint = std::make_unique<recipe::Checkpoint>(recipe::Checkpoint::open(model));
  if (sha256_of_file(model) != m.model_sha256)
    throw InputError(model.string() + ": is not the model that the manifest names; pack the transitions again");
  try {
    state->codec = std::make_unique<LatentCodec>(*state->checkpoint, m.width());
  } catch (const UsageError& error) {
    throw InputError(error.lines().front());
  }
  if (state->codec->latents() != std::ssize(m.latents))
    throw InputError(path.string() + ": /latents: found " + std::to_string(m.latents.size()) +
                     ", expected the model's " + std::to_string(state->codec->latents()));
  std::int64_t first = 0;
  for (const auto& entry : m.parts) {
    OpenPart part;
    part.file = data::RandomAccess::open(folder / entry.file);
    part.first = first;
    part.entry = &entry;
    first += entry.transitions;
    PartMembers members(part);
    part.codes = members.next("codes", (entry.observations * m.bits() + 7) / 8);
    part.flags = members.next("flags", entry.transitions);
    if (m.actions) part.actions = members.next("actions", entry.transitions * m.action_width);
    if (m.rewards) part.rewards = members.next("rewards", entry.transitions);
    part.pairs = members.next("pairs", std::nullopt);
    if (part.pairs.elements > static_cast<std::uint64_t>(entry.transitions))
      throw InputError(part.file->name() + ": found " + std::to_string(part.pairs.elements) + " \"pairs\" of " +
                       std::to_string(entry.transitions) + " transitions; pack the transitions again");
    const std::array shape{static_cast<std::int64_t>(part.pairs.elements), m.width()};
    part.originals = members.next("originals", data::elements_of_shape(shape));
    if (part.codes.element.size != 1 || part.flags.element.size != 1)
      throw InputError(part.file->name() + ": codes and flags are not of type uint8; pack the transitions again");
    state->parts.push_back(std::move(part));
  }
  return std::shared_ptr<const Store>(new Store(std::move(state)));
}

std::shared_ptr<const data::ArrayFile> Store::arrays(std::int64_t first, std::int64_t count) const {
  return std::make_shared<StoreArrays>(state_, first, count);
}

PairSample Store::pairs(std::int64_t most, std::uint64_t seed) const {
  PairSample all;
  std::vector<at::Tensor> originals, stored, observations;
  const auto width = state_->manifest.width();
  bool whole = state_->manifest.actions && state_->manifest.action_width == 1;
  std::int64_t kept = 0;
  for (const auto& part : state_->parts) kept += static_cast<std::int64_t>(part.pairs.elements);
  std::vector<std::uint8_t> wanted(static_cast<std::size_t>(kept), kept <= most);
  if (kept > most) {
    auto order = permutation(kept, Random(stream_key(seed, "some of the kept pairs")));
    for (std::int64_t i = 0; i < most; ++i) wanted[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = 1;
  }
  std::size_t before = 0;  // pairs of the parts before
  for (const auto& part : state_->parts) {
    throw_if_stopped("reading");
    std::vector<double> numbers(part.pairs.elements);
    part.numbers(part.pairs, 0, numbers);
    const auto first = before;
    before += numbers.size();
    if (std::accumulate(wanted.begin() + static_cast<std::ptrdiff_t>(first),
                        wanted.begin() + static_cast<std::ptrdiff_t>(before), 0) == 0)
      continue;
    const auto flags = part.bytes(part.flags, 0, static_cast<std::uint64_t>(part.entry->transitions));
    std::vector<std::int64_t> place{0};
    for (const char flag : flags) place.push_back(place.back() + (flag & kNextOwn ? 2 : 1));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (!wanted[first + i]) continue;
      const double number = numbers[i];
      if (!(number >= 0 && number < static_cast<double>(part.entry->transitions)) ||
          place[static_cast<std::size_t>(number)] + 2 > part.entry->observations)
        throw InputError(part.file->name() +
                         ": \"pairs\" name transitions that are not there; pack the transitions again");
      const auto transition = static_cast<std::int64_t>(number);
      auto row = at::empty({1, width}, at::kDouble);
      part.numbers(part.originals, i * static_cast<std::uint64_t>(width),
                   {row.data_ptr<double>(), static_cast<std::size_t>(width)});
      if (!row.isfinite().all().item<bool>())
        throw InputError(part.file->name() + ": \"originals\" are not finite; pack the transitions again");
      originals.push_back(row);
      const auto two = state_->latents(part, place[static_cast<std::size_t>(transition)], 2);
      observations.push_back(two.narrow(0, 0, 1));
      stored.push_back(two.narrow(0, 1, 1));
      double action = 0;
      if (whole) part.numbers(part.actions, static_cast<std::uint64_t>(transition), {&action, 1});
      whole = whole && action == std::floor(action) && std::abs(action) < 1e9;
      if (whole) all.actions.push_back(static_cast<std::int64_t>(action));
    }
  }
  if (originals.empty()) return all;
  all.original = torch::cat(originals);
  all.stored = state_->codec->decode(torch::cat(stored));
  all.observations = state_->codec->decode(torch::cat(observations));
  if (!whole) all.actions.clear();
  return all;
}

PairSample Store::modelled_pairs(const fit::ErrorModel& errors, const std::string& source, std::int64_t most,
                                 std::uint64_t seed) const {
  const auto& latents = state_->manifest.latents;
  if (errors.model != state_->checkpoint->digest())
    throw InputError(source + ": tells the errors of another model than the one of " + state_->folder.string() +
                     "; expected those of the model that packed it");
  if (std::ssize(errors.reconstruction.columns) != state_->manifest.width() || errors.codes.size() != latents.size())
    throw InputError(source + ": tells the errors of " + counted(errors.reconstruction.columns.size(), "columns") +
                     " by " + counted(errors.codes.size(), "codes") + ", expected " +
                     std::to_string(state_->manifest.width()) + " by " + std::to_string(latents.size()) +
                     "; write the error model again");
  std::int64_t observations = 0;
  for (const auto& part : state_->parts) observations += part.entry->observations;
  Reservoir reservoir(most, Random(stream_key(seed, "modelled observations")));
  std::vector<std::int64_t> drawn;  // numbers of observations, counted on from part to part
  for (std::int64_t i = 0; i < observations; ++i) {
    const auto place = reservoir.place();
    if (place == std::ssize(drawn)) drawn.push_back(i);
    if (place >= 0) drawn[static_cast<std::size_t>(place)] = i;
  }
  std::ranges::sort(drawn);
  std::vector<at::Tensor> codes;
  std::int64_t before = 0;
  auto next = drawn.begin();
  for (const auto& part : state_->parts) {
    throw_if_stopped("reading");
    for (; next != drawn.end() && *next < before + part.entry->observations; ++next)
      codes.push_back(state_->latents(part, *next - before, 1));
    before += part.entry->observations;
  }
  PairSample all;
  if (codes.empty()) return all;
  const auto rounded = torch::cat(codes);
  auto exact = rounded.clone();
  auto error = at::empty({rounded.size(0), state_->manifest.width()}, at::kDouble);
  std::vector<double> code(latents.size());
  Random random(stream_key(seed, "modelled pairs"));
  for (std::int64_t i = 0; i < rounded.size(0); ++i) {
    for (std::size_t k = 0; k < latents.size(); ++k) {
      const auto& grid = latents[k];
      const double step = (grid.high - grid.low) / static_cast<double>(grid.levels() - 1);
      auto& number = exact.data_ptr<float>()[i * exact.size(1) + static_cast<std::int64_t>(k)];
      number += static_cast<float>(step * (random.uniform() - 0.5));
      code[k] = static_cast<double>(number);
    }
    errors.reconstruction.draw(code, random,
                               {error.data_ptr<double>() + i * error.size(1), static_cast<std::size_t>(error.size(1))});
  }
  all.stored = state_->codec->decode(rounded);
  all.original = state_->codec->decode(exact) - error;
  if (!all.original.isfinite().all().item<bool>())
    throw InputError(source + ": tells errors that are too large to be numbers; write the error model again");
  return all;
}

}  // namespace ae::replay
