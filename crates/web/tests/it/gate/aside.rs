//! The tables as they were, to be put back after a request that was let in.

use std::fmt::Write as _;

use testkit::Database;

/// All rows of a moment.
pub struct Kept {
    put_back: String,
}

impl Kept {
    /// Copies every table aside.
    pub async fn of(database: &Database) -> Self {
        let tables = database
            .texts(
                "select c.relname || ' ' || string_agg(quote_ident(a.attname), ',' order by a.attnum)
                 from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
                      and not a.attisdropped and a.attgenerated = ''
                 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
                   and not c.relispartition and c.relname <> '_sqlx_migrations'
                 group by c.relname order by 1",
            )
            .await;
        let mut aside = "create schema kept;".to_owned();
        let mut put_back = "begin; set local session_replication_role = replica;".to_owned();
        for table in &tables {
            let (name, columns) = table.split_once(' ').unwrap();
            write!(aside, "create table kept.{name} as table public.{name};").unwrap();
            write!(
                put_back,
                "delete from public.{name}; insert into public.{name} ({columns}) overriding system value \
                 select {columns} from kept.{name};"
            )
            .unwrap();
        }
        put_back.push_str("commit");
        database.sql(&aside).await;
        Self { put_back }
    }

    /// As if nothing had happened since.
    pub async fn put_back(&self, database: &Database) {
        database.sql(&self.put_back).await;
    }
}
