#include "data/hdf5/h5ad.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.hpp"
#include "base/signals.hpp"
#include "base/text.hpp"
#include "data/bytes/source.hpp"
#include "data/hdf5/file.hpp"
#include "data/hdf5/library.hpp"

namespace ae::data {

using hdf5::Handle;
using hdf5::last_cause;

// What is not finished is abandoned instead of closed: closing writes all that waits, and the library crashes where
// that fails once more.
struct H5adFile::State {
  Output& output;
  std::string name;  // of it, for messages
  std::optional<Handle> file;
  bool passed = false;  // another file's contents are here

  State(Output& to, std::string name_of_it) : output(to), name(std::move(name_of_it)) {}
  ~State() {
    if (file) file->abandon();
  }
  hid_t id() const { return file->get(); }
  [[noreturn]] void fail() const { throw RunError(name + ": cannot write: " + last_cause()); }
  void check(herr_t result) const {
    if (result < 0) fail();
  }
  Handle opened(hid_t id, Handle::Close close) const {
    if (id < 0) fail();
    return {id, close};
  }

  bool has(const std::string& place) const { return H5Lexists(id(), place.c_str(), H5P_DEFAULT) > 0; }

  void write_text(hid_t object, const char* attribute, const std::string& text) const {
    const Handle type = text_type();
    const Handle space = opened(H5Screate(H5S_SCALAR), H5Sclose);
    const Handle made =
        opened(H5Acreate2(object, attribute, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    const char* to_write = text.c_str();
    check(H5Awrite(made.get(), type.get(), &to_write));
  }
  void write_encoding(hid_t object, const char* type, const char* version) const {
    write_text(object, "encoding-type", type);
    write_text(object, "encoding-version", version);
  }
  // As anndata has it, which is of numbers where there are no texts.
  void write_texts(hid_t object, const char* attribute, const std::vector<std::string>& texts) const {
    const hsize_t count = texts.size();
    const Handle space = opened(H5Screate_simple(1, &count, nullptr), H5Sclose);
    const Handle type = texts.empty() ? opened(H5Tcopy(H5T_IEEE_F64LE), H5Tclose) : text_type();
    const Handle made =
        opened(H5Acreate2(object, attribute, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    if (texts.empty()) return;
    std::vector<const char*> to_write;
    for (const auto& text : texts) to_write.push_back(text.c_str());
    check(H5Awrite(made.get(), type.get(), to_write.data()));
  }
  void write_shape(hid_t object, std::int64_t rows, std::int64_t columns) const {
    const std::array<std::int64_t, 2> shape{rows, columns};
    const hsize_t count = shape.size();
    const Handle space = opened(H5Screate_simple(1, &count, nullptr), H5Sclose);
    const Handle made =
        opened(H5Acreate2(object, "shape", H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    check(H5Awrite(made.get(), H5T_NATIVE_INT64, shape.data()));
  }
  Handle text_type() const {
    Handle type = opened(H5Tcopy(H5T_C_S1), H5Tclose);
    check(H5Tset_size(type.get(), H5T_VARIABLE));
    check(H5Tset_cset(type.get(), H5T_CSET_UTF8));
    return type;
  }

  Handle make_group(const std::string& place) const {
    return opened(H5Gcreate2(id(), place.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  }
  void make_dictionary(const std::string& place) const {
    if (!has(place)) write_encoding(make_group(place).get(), "dict", "0.1.0");
  }
  // The group that `place` lies in.
  void make_room_for(const std::string& place) const {
    if (const auto end = place.rfind('/'); end != std::string::npos) make_dictionary(place.substr(0, end));
  }
  void remove(const std::string& place) const {
    if (has(place)) check(H5Ldelete(id(), place.c_str(), H5P_DEFAULT));
  }
  Handle access() const;
  void copy(const std::filesystem::path& input);
};

namespace {

// --- arrays that grow ------------------------------------------------------------------------------------------------

constexpr std::size_t kChunkBytes = 1 << 20;

struct Layout {
  hid_t stored, memory;      // types
  std::size_t size;          // of an element in memory
  std::int64_t rows = -1;    // -1: unknown
  std::int64_t columns = 0;  // 0: of one dimension
  bool compressed = true;
  std::size_t width() const { return columns > 0 ? static_cast<std::size_t>(columns) : 1; }
};

// A dataset that rows are appended to, by whole chunks.
template <typename T>
class Appended {
 public:
  Appended(const H5adFile::State& file, const std::string& place, Layout layout);
  Appended(Appended&&) noexcept = default;
  ~Appended() {
    if (made_) made_->abandon();
  }
  hid_t id() const { return made_->get(); }
  std::int64_t rows() const { return rows_ + static_cast<std::int64_t>(waiting_.size() / layout_.width()); }
  void add(std::span<const T> elements) {  // of a row, or of one dimension any number
    waiting_.insert(waiting_.end(), elements.begin(), elements.end());
    if (waiting_.size() >= chunk_rows_ * layout_.width()) write_out(false);
  }
  void finish();

 private:
  void write_out(bool all);
  const H5adFile::State& file_;
  Layout layout_;
  std::optional<Handle> made_;
  std::size_t chunk_rows_ = 1;
  std::int64_t rows_ = 0;  // written
  std::vector<T> waiting_;
};

template <typename T>
Appended<T>::Appended(const H5adFile::State& file, const std::string& place, Layout layout)
    : file_(file), layout_(layout) {
  chunk_rows_ = std::max<std::size_t>(1, kChunkBytes / (layout.size * layout.width()));
  if (layout.rows > 0) chunk_rows_ = std::min(chunk_rows_, static_cast<std::size_t>(layout.rows));
  const int dimensions = layout.columns > 0 ? 2 : 1;
  const bool known = layout.rows >= 0;
  const std::array<hsize_t, 2> size{known ? static_cast<hsize_t>(layout.rows) : 0, layout.width()};
  const std::array<hsize_t, 2> most{known ? size[0] : H5S_UNLIMITED, size[1]};
  const std::array<hsize_t, 2> chunk{chunk_rows_, size[1]};
  const Handle space = file.opened(H5Screate_simple(dimensions, size.data(), most.data()), H5Sclose);
  const Handle creation = file.opened(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  file.check(H5Pset_obj_track_times(creation.get(), false));
  if (layout.rows != 0) file.check(H5Pset_chunk(creation.get(), dimensions, chunk.data()));
  if (layout.rows != 0 && layout.compressed) {
    constexpr unsigned kFast = 1;
    file.check(H5Pset_shuffle(creation.get()));
    file.check(H5Pset_deflate(creation.get(), kFast));
  }
  // A chunk is written once, as a whole.
  const Handle access = file.opened(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
  constexpr std::size_t kSlots = 521;
  file.check(H5Pset_chunk_cache(access.get(), kSlots, 2 * kChunkBytes, 1));
  made_.emplace(file.opened(
      H5Dcreate2(file.id(), place.c_str(), layout.stored, space.get(), H5P_DEFAULT, creation.get(), access.get()),
      H5Dclose));
}

template <typename T>
void Appended<T>::write_out(bool all) {
  throw_if_stopped("writing");
  const std::size_t width = layout_.width(), waiting = waiting_.size() / width;
  const std::size_t rows = all ? waiting : waiting / chunk_rows_ * chunk_rows_;
  if (rows == 0) return;
  const std::array<hsize_t, 2> first{static_cast<hsize_t>(rows_), 0}, count{rows, width};
  const int dimensions = layout_.columns > 0 ? 2 : 1;
  if (layout_.rows < 0) {
    const std::array<hsize_t, 2> size{first[0] + rows, width};
    file_.check(H5Dset_extent(id(), size.data()));
  }
  const Handle to = file_.opened(H5Dget_space(id()), H5Sclose);
  const Handle from = file_.opened(H5Screate_simple(dimensions, count.data(), nullptr), H5Sclose);
  file_.check(H5Sselect_hyperslab(to.get(), H5S_SELECT_SET, first.data(), nullptr, count.data(), nullptr));
  file_.check(H5Dwrite(id(), layout_.memory, from.get(), to.get(), H5P_DEFAULT, waiting_.data()));
  rows_ += static_cast<std::int64_t>(rows);
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(rows * width));
}

template <typename T>
void Appended<T>::finish() {
  write_out(true);
  file_.check(H5Dflush(id()));
  if (!made_->close()) file_.fail();
}

Layout floats(std::int64_t rows, std::int64_t columns) {
  return {H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, sizeof(float), rows, columns};
}

// Texts that are appended one by one.
class AppendedTexts {
 public:
  AppendedTexts(const H5adFile::State& file, const std::string& place)
      : type_(file.text_type()), pointers_(file, place, {type_.get(), type_.get(), kBytesAText, -1, 0, false}) {
    file.write_encoding(pointers_.id(), "string-array", "0.2.0");
  }
  void add(std::string_view text) {
    texts_.emplace_back(text);
    if (texts_.size() == kAtOnce) hand_on();
  }
  void finish() {
    hand_on();
    pointers_.finish();
  }

 private:
  static constexpr std::size_t kAtOnce = 4096, kBytesAText = kChunkBytes / kAtOnce;  // a chunk
  void hand_on() {
    std::vector<const char*> pointers;
    for (const auto& text : texts_) pointers.push_back(text.c_str());
    pointers_.add(pointers);
    if (texts_.size() == kAtOnce) texts_.clear();  // written; else finish() is about to
  }
  Handle type_;
  Appended<const char*> pointers_;
  std::vector<std::string> texts_;
};

}  // namespace

// --- parts -----------------------------------------------------------------------------------------------------------

struct H5adFile::Dense::State {
  Appended<float> rows;
};

H5adFile::Dense::Dense(H5adFile& file, const std::string& place, std::int64_t rows, std::int64_t columns) {
  file.state_->make_room_for(place);
  state_ = std::make_unique<State>(State{{*file.state_, place, floats(rows, columns)}});
  file.state_->write_encoding(state_->rows.id(), "array", "0.2.0");
}
H5adFile::Dense::~Dense() = default;
void H5adFile::Dense::add(std::span<const float> row) { state_->rows.add(row); }
void H5adFile::Dense::finish() { state_->rows.finish(); }

struct H5adFile::Sparse::State {
  Appended<float> data;
  Appended<std::int32_t> indices;
  Appended<std::int64_t> begins;
};

H5adFile::Sparse::Sparse(H5adFile& file, const std::string& place, std::int64_t rows, std::int64_t columns) {
  const auto& of_file = *file.state_;
  of_file.make_room_for(place);
  {
    const Handle group = of_file.make_group(place);
    of_file.write_encoding(group.get(), "csr_matrix", "0.1.0");
    of_file.write_shape(group.get(), rows, columns);
  }
  state_ = std::make_unique<State>(
      State{{of_file, place + "/data", floats(-1, 0)},
            {of_file, place + "/indices", {H5T_STD_I32LE, H5T_NATIVE_INT32, sizeof(std::int32_t)}},
            {of_file, place + "/indptr", {H5T_STD_I64LE, H5T_NATIVE_INT64, sizeof(std::int64_t)}}});
  const std::int64_t none = 0;
  state_->begins.add({&none, 1});
}
H5adFile::Sparse::~Sparse() = default;

void H5adFile::Sparse::add(std::span<const std::int32_t> columns, std::span<const float> values) {
  state_->data.add(values);
  state_->indices.add(columns);
  const std::int64_t end = state_->data.rows();
  state_->begins.add({&end, 1});
}

void H5adFile::Sparse::finish() {
  state_->data.finish();
  state_->indices.finish();
  state_->begins.finish();
}

struct H5adFile::Frame::State {
  AppendedTexts index;
  std::vector<std::unique_ptr<AppendedTexts>> columns;
};

H5adFile::Frame::Frame(H5adFile& file, const std::string& place, const std::vector<std::string>& columns) {
  for (const auto& name : columns) {
    if (!name.empty() && name != "." && name != "_index" && name.find('/') == std::string::npos) continue;
    throw UsageError(file.state_->name + ": an .h5ad file has no column named " + ae::quoted(name) +
                     "; leave it out, or rename it in the input");
  }
  const auto& of_file = *file.state_;
  {
    const Handle group = of_file.make_group(place);
    of_file.write_encoding(group.get(), "dataframe", "0.2.0");
    of_file.write_text(group.get(), "_index", "_index");
    of_file.write_texts(group.get(), "column-order", columns);
  }
  state_ = std::make_unique<State>(State{{of_file, place + "/_index"}, {}});
  for (const auto& name : columns)
    state_->columns.push_back(std::make_unique<AppendedTexts>(of_file, place + "/" + name));
}
H5adFile::Frame::~Frame() = default;

void H5adFile::Frame::add(std::string_view name, std::span<const std::string> texts) {
  state_->index.add(name);
  for (std::size_t i = 0; i < texts.size(); ++i) state_->columns[i]->add(texts[i]);
}

void H5adFile::Frame::finish() {
  state_->index.finish();
  for (const auto& column : state_->columns) column->finish();
}

// --- the file --------------------------------------------------------------------------------------------------------

H5adFile::H5adFile(Output& output) : state_(std::make_unique<State>(output, output.path().string())) {
  hdf5::begin();
  output.path_before_commit();  // is it a file?
}
H5adFile::~H5adFile() = default;

Handle H5adFile::State::access() const {
  Handle access = opened(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  check(H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG));
  check(H5Pset_file_locking(access.get(), false, true));  // nobody else knows of it
  return access;
}

void H5adFile::begin() {
  const Handle access = state_->access();
  state_->file.emplace(state_->opened(
      H5Fcreate(state_->output.path_before_commit().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose));
  const Handle root = state_->opened(H5Gopen2(state_->id(), "/", H5P_DEFAULT), H5Gclose);
  state_->write_encoding(root.get(), "anndata", "0.1.0");
}

// Byte by byte, and then mended: the library's own copying crashes where a disk is full or a file is damaged.
void H5adFile::State::copy(const std::filesystem::path& input) {
  constexpr std::size_t kAtOnce = 1 << 20;
  const auto source = ByteSource::open(input);
  std::string piece(kAtOnce, '\0');
  while (const std::size_t count = read_fully(*source, piece.data(), piece.size())) {
    throw_if_stopped("copying");
    output.write({piece.data(), count});
  }
  output.flush();
  const Handle by = access();
  const hid_t made = H5Fopen(output.path_before_commit().c_str(), H5F_ACC_RDWR, by.get());
  if (made < 0) throw InputError(input.string() + ": cannot be added to: " + last_cause() + "; write it again");
  file.emplace(made, H5Fclose);
  passed = true;
}

void H5adFile::pass_through(const std::filesystem::path& input, const std::string& replaced) {
  state_->copy(input);
  state_->make_room_for(replaced);
  state_->remove(replaced);  // its room is used again
}

void H5adFile::pass_through_raw(const std::filesystem::path& input) {
  state_->copy(input);
  for (const char* place : {"X", "layers", "var", "varm", "varp"}) state_->remove(place);
  for (const char* part : {"X", "var"}) {
    const std::string from = std::string("raw/") + part;
    state_->check(H5Lmove(state_->id(), from.c_str(), state_->id(), part, H5P_DEFAULT, H5P_DEFAULT));
  }
  state_->remove("raw");
}

void H5adFile::finish() {
  if (!state_->passed) {
    for (const char* part : {"layers", "obsm", "obsp", "uns", "varm", "varp"}) state_->make_dictionary(part);
    if (!state_->has("var")) Frame(*this, "var", {}).finish();
  }
  state_->check(H5Fflush(state_->id(), H5F_SCOPE_GLOBAL));
  if (!state_->file->close()) state_->fail();
}

bool is_h5ad(const std::filesystem::path& path) {
  hdf5::begin();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored) || H5Fis_hdf5(path.c_str()) <= 0) return false;
  const Hdf5File file(path);
  return file.has("obs") && file.has("var");
}

// --- cells x genes ---------------------------------------------------------------------------------------------------

namespace {

class H5adMatrix final : public MatrixWriter {
 public:
  H5adMatrix(Output& output, const MatrixAbout& about) : MatrixWriter(about), file_(output) {
    const std::string place = "layers/" + about.layer;
    passed_ = is_h5ad(about.input);
    if (!passed_) {
      file_.begin();
    } else if (about.input_layer == "raw" && Hdf5File(about.input).has("raw/X")) {  // else a layer of that name
      file_.pass_through_raw(about.input);
    } else {
      file_.pass_through(about.input, place);
    }
    if (about.sparse) {
      sparse_.emplace(file_, place, about.counts.cells(), genes());
    } else {
      dense_.emplace(file_, place, about.counts.cells(), genes());
    }
  }

 private:
  void write(std::span<const float> values) override {
    if (dense_) return dense_->add(values);
    genes_.clear();
    values_.clear();
    for (std::size_t gene = 0; gene < values.size(); ++gene) {
      if (values[gene] == 0) continue;
      genes_.push_back(static_cast<std::int32_t>(gene));
      values_.push_back(values[gene]);
    }
    sparse_->add(genes_, values_);
  }
  void write_sparse(std::span<const std::int32_t> genes, std::span<const float> values) override {
    if (dense_) return MatrixWriter::write_sparse(genes, values);
    sparse_->add(genes, values);
  }

  void close() override {
    if (dense_) dense_->finish();
    if (sparse_) sparse_->finish();
    if (!passed_) {
      write_counts();
      write_names();
    }
    file_.finish();
  }

  void write_counts() {
    constexpr std::int64_t kCellsAtOnce = 256;
    auto& counts = about().counts;
    H5adFile::Sparse matrix(file_, "X", counts.cells(), genes());
    CellCounts block;
    for (std::int64_t begin = 0; begin < counts.cells(); begin += kCellsAtOnce) {
      block.clear();
      counts.read_again(begin, std::min(begin + kCellsAtOnce, counts.cells()), block);
      for (std::int64_t cell = 0; cell < block.cells(); ++cell)
        matrix.add(block.view().genes_of(cell), block.view().counts_of(cell));
    }
    matrix.finish();
  }

  void write_names() {
    H5adFile::Frame obs(file_, "obs", {}), var(file_, "var", {});
    for (std::int64_t cell = 0; cell < about().counts.cells(); ++cell) obs.add(cell_name(cell), {});
    for (const auto& gene : about().counts.genes()) var.add(gene, {});
    obs.finish();
    var.finish();
  }

  H5adFile file_;
  bool passed_ = false;  // X, obs and var are those of the input
  std::optional<H5adFile::Dense> dense_;
  std::optional<H5adFile::Sparse> sparse_;  // one of both
  std::vector<std::int32_t> genes_;
  std::vector<float> values_;
};

}  // namespace

const MatrixFormat kH5adMatrix{".h5ad", false, "AnnData: the values as a layer, with all that an .h5ad input holds.",
                               [](Output& output, bool, const MatrixAbout& about) {
                                 return std::unique_ptr<MatrixWriter>(std::make_unique<H5adMatrix>(output, about));
                               }};

}  // namespace ae::data
