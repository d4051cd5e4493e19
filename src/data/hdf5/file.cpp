#include "data/hdf5/file.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "base/files.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/hdf5/library.hpp"

namespace ae::data {

using hdf5::Handle;
using hdf5::last_cause;

namespace {

std::string name_of_file(hid_t object) {
  const auto length = H5Fget_name(object, nullptr, 0);
  if (length < 0) return "";
  std::string name(static_cast<std::size_t>(length) + 1, '\0');
  H5Fget_name(object, name.data(), name.size());
  name.resize(static_cast<std::size_t>(length));
  return name;
}

struct Filter {
  H5Z_filter_t number = 0;
  unsigned index = 0;
  std::string name;
  std::string package;  // of Debian, which has it as a plugin that the library finds; may be empty
};

Filter filter_of(H5Z_filter_t number, unsigned index, const char* own) {
  struct Known {
    H5Z_filter_t number;
    const char* name;
    const char* package;
  };
  constexpr Known kKnown[] = {{H5Z_FILTER_SZIP, "szip", ""},
                              {307, "bzip2", "hdf5-filter-plugin"},
                              {32001, "Blosc", "hdf5-filter-plugin-blosc-serial"},
                              {32004, "LZ4", "hdf5-filter-plugin"},
                              {32008, "bitshuffle", ""},
                              {32026, "Blosc2", ""}};
  for (const auto& known : kKnown)
    if (known.number == number) return {number, index, known.name, known.package};
  return {number, index, *own != '\0' ? printable(own) : "filter " + std::to_string(number), ""};
}

// The first filter that this library does not have.
std::optional<Filter> lacking_filter(hid_t creation) {
  const int count = H5Pget_nfilters(creation);
  for (int i = 0; i < count; ++i) {
    std::array<char, 64> own{};
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    const auto number =
        H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values, nullptr, own.size(), own.data(), &config);
    if (number >= 0 && H5Zfilter_avail(number) > 0) continue;
    own.back() = '\0';
    return filter_of(number, static_cast<unsigned>(i), own.data());
  }
  return std::nullopt;
}

Hdf5Dataset::Type type_of(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_STRING:
      return Hdf5Dataset::Type::text;
    case H5T_INTEGER:
      return Hdf5Dataset::Type::integer;
    case H5T_FLOAT:
      return Hdf5Dataset::Type::number;
    case H5T_ENUM:
      return Hdf5Dataset::Type::boolean;  // as h5py writes truth values
    default:
      return Hdf5Dataset::Type::other;
  }
}

// Texts of a dataset or attribute, which `read` reads in the given type.
template <typename Read>
bool read_texts(hid_t type, hid_t space, std::size_t count, std::vector<std::string>& texts, Read&& read) {
  const Handle memory(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_cset(memory.get(), H5Tget_cset(type));
  if (H5Tis_variable_str(type) > 0) {
    H5Tset_size(memory.get(), H5T_VARIABLE);
    std::vector<char*> found(count, nullptr);
    if (!read(memory.get(), found.data())) return false;
    for (const char* text : found) texts.emplace_back(text == nullptr ? "" : text);
    H5Dvlen_reclaim(memory.get(), space, H5P_DEFAULT, found.data());
    return true;
  }
  const std::size_t width = H5Tget_size(type);
  H5Tset_size(memory.get(), std::max<std::size_t>(width, 1));
  H5Tset_strpad(memory.get(), H5T_STR_NULLPAD);
  std::string found(count * width, '\0');
  if (!read(memory.get(), found.data())) return false;
  for (std::size_t i = 0; i < count; ++i) {
    std::string text = found.substr(i * width, width);
    texts.push_back(text.substr(0, text.find('\0')));
  }
  return true;
}

}  // namespace

// --- datasets --------------------------------------------------------------------------------------------------------

struct Hdf5Dataset::State {
  std::string file, place;
  Handle id, type, space, creation;
  std::vector<std::int64_t> shape;

  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(file + ": " + ae::quoted(place) + " " + what);
  }
  std::int64_t elements() const {
    std::int64_t product = 1;
    for (const auto length : shape) {
      if (__builtin_mul_overflow(product, length, &product)) fail("has more elements than can be counted");
    }
    return product;
  }
  void check_place() const;
  void check_filters() const;
  void check_size() const;
  template <typename T>
  void read(hid_t memory_type, const std::vector<hsize_t>& first, const std::vector<hsize_t>& count, T* to) const;
};

// That its bytes are in this file.
void Hdf5Dataset::State::check_place() const {
  if (H5Pget_layout(creation.get()) == H5D_VIRTUAL || H5Pget_external_count(creation.get()) > 0) {
    fail("lies in other files, which are not looked for; write it again as one file");
  }
}

void Hdf5Dataset::State::check_filters() const {
  const auto filter = lacking_filter(creation.get());
  if (!filter) return;
  hsize_t chunks = 0;
  if (H5Dget_num_chunks(id.get(), space.get(), &chunks) < 0) fail("cannot be read: " + last_cause());
  std::vector<hsize_t> offset(shape.size());
  for (hsize_t i = 0; i < chunks; ++i) {
    unsigned mask = 0;
    haddr_t address = 0;
    hsize_t bytes = 0;
    if (H5Dget_chunk_info(id.get(), space.get(), i, offset.data(), &mask, &address, &bytes) < 0)
      fail("cannot be read: " + last_cause());
    if (filter->index < 32 && (mask >> filter->index & 1u) == 1) continue;  // this chunk was stored without it
    fail("is compressed with " + filter->name + ", which the HDF5 library here cannot read; " +
         (filter->package.empty() ? "" : "install " + filter->package + " of Debian, or ") +
         "write the file again with gzip, as in Python with write_h5ad(FILE, compression=\"gzip\")");
  }
}

// Memory is taken for as much as it says, so that must be there.
void Hdf5Dataset::State::check_size() const {
  constexpr std::int64_t kMostRatio = 1 << 16;
  const std::int64_t count = elements();
  if (count == 0) return;
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(count, static_cast<std::int64_t>(H5Tget_size(type.get())), &bytes))
    fail("has more elements than can be read");
  const auto stored = static_cast<std::int64_t>(H5Dget_storage_size(id.get()));
  const auto incomplete = [&] { fail("is not all there; fetch or write the file again"); };
  if (stored <= 0 || bytes / kMostRatio > stored) incomplete();
  if (H5Pget_layout(creation.get()) != H5D_CHUNKED) return;
  std::vector<hsize_t> chunk(shape.size());
  hsize_t chunks = 0;
  if (H5Pget_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()) < 0 ||
      H5Dget_num_chunks(id.get(), space.get(), &chunks) < 0) {
    incomplete();
  }
  // A chunk is held whole to read any of it.
  constexpr double kAlwaysTaken = 1 << 26;
  auto chunk_bytes = static_cast<double>(H5Tget_size(type.get()));
  for (const hsize_t along : chunk) chunk_bytes *= static_cast<double>(along);
  if (chunk_bytes > std::max(kAlwaysTaken, 4 * static_cast<double>(bytes)))
    fail("has chunks of " + number_text(chunk_bytes) + " bytes for " + std::to_string(bytes) +
         " bytes in all; write it again with smaller ones");
  hsize_t expected = 1;
  for (std::size_t i = 0; i < chunk.size(); ++i)
    expected *= (static_cast<hsize_t>(shape[i]) + chunk[i] - 1) / std::max<hsize_t>(chunk[i], 1);
  if (chunks < expected) incomplete();
}

template <typename T>
void Hdf5Dataset::State::read(hid_t memory_type, const std::vector<hsize_t>& first, const std::vector<hsize_t>& count,
                              T* to) const {
  const Handle from(H5Scopy(space.get()), H5Sclose);
  const Handle into(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr), H5Sclose);
  if (H5Sselect_hyperslab(from.get(), H5S_SELECT_SET, first.data(), nullptr, count.data(), nullptr) < 0 ||
      H5Dread(id.get(), memory_type, into.get(), from.get(), H5P_DEFAULT, to) < 0) {
    fail("cannot be read: " + last_cause());
  }
}

Hdf5Dataset::Hdf5Dataset(std::unique_ptr<State> state) : state_(std::move(state)) {}
Hdf5Dataset::Hdf5Dataset(Hdf5Dataset&&) noexcept = default;
Hdf5Dataset::~Hdf5Dataset() = default;
Hdf5Dataset::Type Hdf5Dataset::type() const { return type_of(state_->type.get()); }
const std::vector<std::int64_t>& Hdf5Dataset::shape() const { return state_->shape; }
void Hdf5Dataset::fail(const std::string& what) const { state_->fail(what); }

namespace {

template <typename T, typename Read>
void read_part(const Hdf5Dataset& dataset, std::int64_t first, std::span<T> to, Read&& read) {
  if (dataset.shape().size() != 1) dataset.fail("is not of one dimension");
  const auto type = dataset.type();
  if (type != Hdf5Dataset::Type::integer && type != Hdf5Dataset::Type::number && type != Hdf5Dataset::Type::boolean)
    dataset.fail("does not hold numbers");
  if (first < 0 || first + std::ssize(to) > dataset.size()) dataset.fail("ends too early");
  if (!to.empty()) read({static_cast<hsize_t>(first)}, {static_cast<hsize_t>(to.size())});
}

}  // namespace

void Hdf5Dataset::read(std::int64_t first, std::span<std::int64_t> to) const {
  read_part(*this, first, to, [&](const std::vector<hsize_t>& from, const std::vector<hsize_t>& count) {
    state_->read(H5T_NATIVE_INT64, from, count, to.data());
  });
}

void Hdf5Dataset::read(std::int64_t first, std::span<float> to) const {
  read_part(*this, first, to, [&](const std::vector<hsize_t>& from, const std::vector<hsize_t>& count) {
    state_->read(H5T_NATIVE_FLOAT, from, count, to.data());
  });
}

void Hdf5Dataset::read(std::int64_t first, std::span<double> to) const {
  read_part(*this, first, to, [&](const std::vector<hsize_t>& from, const std::vector<hsize_t>& count) {
    state_->read(H5T_NATIVE_DOUBLE, from, count, to.data());
  });
}

void Hdf5Dataset::read_rows(std::int64_t first, std::span<float> to) const {
  if (to.empty()) return;
  const auto width = static_cast<std::size_t>(shape().at(1));
  state_->read(H5T_NATIVE_FLOAT, {static_cast<hsize_t>(first), 0}, {to.size() / width, width}, to.data());
}

void Hdf5Dataset::read_records(std::int64_t first, std::span<double> to) const {
  if (to.empty()) return;
  std::vector<hsize_t> from(shape().size(), 0), count(shape().begin(), shape().end());
  const auto record = std::accumulate(count.begin() + 1, count.end(), hsize_t{1}, std::multiplies<>());
  from.front() = static_cast<hsize_t>(first);
  count.front() = to.size() / record;
  state_->read(H5T_NATIVE_DOUBLE, from, count, to.data());
}

std::int64_t Hdf5Dataset::element_bytes() const { return static_cast<std::int64_t>(H5Tget_size(state_->type.get())); }

std::int64_t Hdf5Dataset::rows_of_a_chunk() const {
  if (H5Pget_layout(state_->creation.get()) != H5D_CHUNKED) return 1;
  std::vector<hsize_t> chunk(shape().size());
  H5Pget_chunk(state_->creation.get(), static_cast<int>(chunk.size()), chunk.data());
  return static_cast<std::int64_t>(chunk.front());
}

std::vector<std::int64_t> Hdf5Dataset::integers() const {
  if (type() == Type::number || type() == Type::text) fail("does not hold whole numbers");
  std::vector<std::int64_t> values(static_cast<std::size_t>(size()));
  read(0, std::span(values));
  return values;
}

std::vector<double> Hdf5Dataset::numbers() const {
  std::vector<double> values(static_cast<std::size_t>(size()));
  read(0, std::span(values));
  return values;
}

std::vector<std::string> Hdf5Dataset::texts() const {
  constexpr std::size_t kAtOnce = 1 << 14;
  if (type() != Type::text || shape().size() != 1) fail("does not hold texts");
  std::vector<std::string> texts;
  const auto count = static_cast<std::size_t>(size());
  for (std::size_t first = 0; first < count; first += kAtOnce) {
    throw_if_stopped("reading");
    const hsize_t part = std::min(kAtOnce, count - first);
    const Handle space(H5Screate_simple(1, &part, nullptr), H5Sclose);
    read_texts(state_->type.get(), space.get(), part, texts, [&](hid_t memory_type, auto* to) {
      state_->read(memory_type, {static_cast<hsize_t>(first)}, {part}, to);
      return true;
    });
  }
  return texts;
}

// --- heaps -----------------------------------------------------------------------------------------------------------

namespace {

std::uint64_t little_endian(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// Texts of variable length are in global heaps: "GCOL", version, reserved, size, and then objects of 16 bytes (number,
// count, reserved, size) and their padded contents (HDF5 File Format Specification 3.0, III.E). libhdf5 1.10 goes
// through them without asking whether it comes further; in a damaged heap it never ends.
void check_heaps(std::string_view bytes, const std::string& name) {
  constexpr std::string_view kBegin("GCOL\1", 5);
  constexpr std::uint64_t kHeader = 16;
  for (std::size_t at = bytes.find(kBegin); at != std::string_view::npos; at = bytes.find(kBegin, at + 1)) {
    if (bytes.size() - at < kHeader) return;
    const std::uint64_t size = little_endian(bytes, at + 8, 8);
    if (size > bytes.size() - at) continue;  // none: chance, or what the library finds out itself
    for (std::uint64_t object = kHeader; object + kHeader <= size;) {
      const std::uint64_t number = little_endian(bytes, at + object, 2);
      const std::uint64_t content = little_endian(bytes, at + object + 8, 8), left = size - object;
      // Number 0 is the free rest, whose size includes its header.
      const std::uint64_t needed = number == 0 ? content : content > left ? left + 1 : kHeader + (content + 7) / 8 * 8;
      if (needed < kHeader || needed > left) {
        throw InputError(name + ": cannot be read as HDF5: the heap of texts at byte " + std::to_string(at) +
                         " is damaged; fetch or write it again");
      }
      object += needed;
    }
  }
}

}  // namespace

// --- files -----------------------------------------------------------------------------------------------------------

Hdf5File::Hdf5File(const std::filesystem::path& path) : name_(path.string()) {
  hdf5::begin();
  if (const auto file = MappedFile::open(path)) check_heaps(file->bytes(), name_);
  id_ = H5Fopen(name_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  if (id_ < 0) throw InputError(name_ + ": cannot be read as HDF5: " + last_cause() + "; fetch or write it again");
}

Hdf5File::~Hdf5File() {
  if (id_ >= 0) H5Fclose(id_);
}

void Hdf5File::fail(const std::string& place, const std::string& what) const {
  throw InputError(name_ + ": " + ae::quoted(place) + " " + what);
}

Hdf5File::Node Hdf5File::node(const std::string& place) const {
  for (std::size_t end = place.find('/'); end != 0; end = place.find('/', end + 1)) {
    const std::string part = place.substr(0, end);
    if (H5Lexists(id_, part.c_str(), H5P_DEFAULT) <= 0) return Node::none;
    H5L_info_t link;
    if (H5Lget_info(id_, part.c_str(), &link, H5P_DEFAULT) < 0) return Node::none;
    if (link.type != H5L_TYPE_HARD && link.type != H5L_TYPE_SOFT)
      fail(part, "is a link to another file, which is not followed; write it again as one file");
    if (end == std::string::npos) break;
  }
  const Handle object(H5Oopen(id_, place.c_str(), H5P_DEFAULT), H5Oclose);
  if (!object) return Node::none;
  if (name_of_file(object.get()) != name_of_file(id_))  // by a link to a link
    fail(place, "is a link to another file, which is not followed; write it again as one file");
  const auto type = H5Iget_type(object.get());
  return type == H5I_GROUP ? Node::group : type == H5I_DATASET ? Node::dataset : Node::none;
}

std::vector<std::string> Hdf5File::members(const std::string& group) const {
  const Handle object(H5Gopen2(id_, group.c_str(), H5P_DEFAULT), H5Gclose);
  std::vector<std::string> names;
  if (!object) return names;
  hsize_t at = 0;
  H5Literate(
      object.get(), H5_INDEX_NAME, H5_ITER_INC, &at,
      [](hid_t, const char* name, const H5L_info_t*, void* to) -> herr_t {
        static_cast<std::vector<std::string>*>(to)->emplace_back(name);
        return 0;
      },
      &names);
  return names;
}

std::string Hdf5File::text_attribute(const std::string& place, const char* attribute) const {
  const auto texts = texts_attribute(place, attribute);
  return texts.size() == 1 ? texts.front() : "";
}

std::vector<std::string> Hdf5File::texts_attribute(const std::string& place, const char* attribute) const {
  constexpr hssize_t kMost = 1 << 20;
  if (H5Aexists_by_name(id_, place.c_str(), attribute, H5P_DEFAULT) <= 0) return {};
  const Handle id(H5Aopen_by_name(id_, place.c_str(), attribute, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!id) return {};
  const Handle type(H5Aget_type(id.get()), H5Tclose), space(H5Aget_space(id.get()), H5Sclose);
  const auto count = H5Sget_simple_extent_npoints(space.get());
  if (type_of(type.get()) != Hdf5Dataset::Type::text || count < 1 || count > kMost) return {};
  std::vector<std::string> texts;
  read_texts(type.get(), space.get(), static_cast<std::size_t>(count), texts,
             [&](hid_t memory_type, auto* to) { return H5Aread(id.get(), memory_type, to) >= 0; });
  return texts;
}

std::vector<std::int64_t> Hdf5File::integer_attribute(const std::string& place, const char* attribute) const {
  constexpr hssize_t kMost = 32;
  if (H5Aexists_by_name(id_, place.c_str(), attribute, H5P_DEFAULT) <= 0) return {};
  const Handle id(H5Aopen_by_name(id_, place.c_str(), attribute, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (!id) return {};
  const Handle type(H5Aget_type(id.get()), H5Tclose), space(H5Aget_space(id.get()), H5Sclose);
  const auto count = H5Sget_simple_extent_npoints(space.get());
  if (type_of(type.get()) != Hdf5Dataset::Type::integer || count < 1 || count > kMost) return {};
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  if (H5Aread(id.get(), H5T_NATIVE_INT64, values.data()) < 0) return {};
  return values;
}

Hdf5Dataset Hdf5File::dataset(const std::string& place) const {
  if (node(place) != Node::dataset) fail(place, "is missing, or no dataset");
  // Rows of a dense matrix that is chunked by columns are read piece by piece all the same.
  constexpr std::size_t kSlots = 12421, kCacheBytes = 64 << 20;
  const Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  H5Pset_chunk_cache(access.get(), kSlots, kCacheBytes, 1);
  Handle id(H5Dopen2(id_, place.c_str(), access.get()), H5Dclose);
  if (!id) fail(place, "cannot be read: " + last_cause());
  Handle type(H5Dget_type(id.get()), H5Tclose), space(H5Dget_space(id.get()), H5Sclose);
  Handle creation(H5Dget_create_plist(id.get()), H5Pclose);
  const int dimensions = H5Sget_simple_extent_ndims(space.get());
  if (!type || !creation || dimensions < 1) fail(place, "has no dimension; expected an array");
  std::vector<hsize_t> lengths(static_cast<std::size_t>(dimensions));
  H5Sget_simple_extent_dims(space.get(), lengths.data(), nullptr);
  auto state = std::make_unique<Hdf5Dataset::State>(
      Hdf5Dataset::State{name_, place, std::move(id), std::move(type), std::move(space), std::move(creation), {}});
  for (const auto length : lengths) state->shape.push_back(static_cast<std::int64_t>(length));
  if (std::ranges::any_of(state->shape, [](auto length) { return length < 0; })) state->fail("is too large");
  state->check_place();
  state->check_filters();
  state->check_size();
  return Hdf5Dataset(std::move(state));
}

}  // namespace ae::data
