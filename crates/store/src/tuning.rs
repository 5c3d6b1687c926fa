//! How RocksDB is set up: durable first, then small.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, LogLevel, Options,
    WriteOptions,
};

use crate::kv::Family;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// All memtables together.
const MEMTABLES: usize = 32 * MIB;
/// Blocks that were read lately, of all families together.
const BLOCK_CACHE: usize = 8 * MIB;
/// Write-ahead logs together; beyond it RocksDB flushes and drops the oldest.
const WAL_BYTES: u64 = 64 << 20;
/// Files that RocksDB holds open.
const OPEN_FILES: i32 = 256;

/// Options of the whole database.
///
/// Writes stay ordered and logged (RocksDB's defaults: no `unordered_write`, WAL on, flushed by
/// each write), so that what is synced is a prefix of what was written. A torn tail is what a crash
/// leaves and is cut off; any other damage refuses to open.
pub(crate) fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_manual_wal_flush(false);
    options.set_max_total_wal_size(WAL_BYTES);
    options.set_db_write_buffer_size(MEMTABLES);
    options.set_max_open_files(OPEN_FILES);
    options.set_max_background_jobs(2);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * MIB);
    options.set_max_manifest_file_size(16 * MIB);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// Options for reading only. All files are opened at once: whoever writes to them may remove some.
pub(crate) fn reading() -> Options {
    let mut options = database();
    options.create_if_missing(false);
    options.create_missing_column_families(false);
    options.set_max_open_files(-1);
    options
}

/// All families with their options.
pub(crate) fn families() -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(BLOCK_CACHE);
    let describe = |family: Family| ColumnFamilyDescriptor::new(family.name(), one(family, &cache));
    Family::ALL.into_iter().map(describe).collect()
}

fn one(family: Family, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(match family {
        Family::Meta | Family::Headers => 256 * KIB,
        Family::Log | Family::Chunks | Family::Deltas | Family::Events | Family::About => 8 * MIB,
    });
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options
}

/// How a batch is written: `sync` waits for the disk.
pub(crate) fn writing(sync: bool) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(sync);
    options
}
