//! Parquet files from their columns.

use parquet::basic::Compression;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type,
    Int64Type, Int96, Int96Type,
};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// The values of a column that are not null.
pub enum Values {
    Bool(Vec<bool>),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Int96(Vec<(u32, u32, u32)>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<&'static [u8]>),
    Fixed(Vec<&'static [u8]>),
}

/// A column with its levels; a required one has none.
pub struct Column {
    pub values: Values,
    pub definition: Option<Vec<i16>>,
    pub repetition: Option<Vec<i16>>,
}

impl From<Values> for Column {
    fn from(values: Values) -> Self {
        Self { values, definition: None, repetition: None }
    }
}

pub fn texts(values: &[&'static str]) -> Column {
    Values::Bytes(values.iter().map(|value| value.as_bytes()).collect()).into()
}

impl Column {
    /// Adds the levels of optional and repeated values.
    pub fn levels(mut self, definition: &[i16], repetition: &[i16]) -> Self {
        self.definition = Some(definition.to_vec());
        self.repetition = (!repetition.is_empty()).then(|| repetition.to_vec());
        self
    }
}

/// Writes a file with one row group; `fields` are those of `message m { … }`.
pub fn file(fields: &str, compression: Compression, columns: Vec<Column>) -> Vec<u8> {
    let schema = parse_message_type(&format!("message m {{ {fields} }}")).expect("a schema");
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema.into(), properties.into()).expect("memory");
    let mut group = writer.next_row_group().expect("memory");
    for column in columns {
        match &column.values {
            Values::Bool(values) => write::<BoolType>(&mut group, values, &column),
            Values::Int(values) => write::<Int32Type>(&mut group, values, &column),
            Values::Long(values) => write::<Int64Type>(&mut group, values, &column),
            Values::Float(values) => write::<FloatType>(&mut group, values, &column),
            Values::Double(values) => write::<DoubleType>(&mut group, values, &column),
            Values::Int96(values) => {
                let int96 = |(low, high, day): &(u32, u32, u32)| {
                    let mut value = Int96::new();
                    value.set_data(*low, *high, *day);
                    value
                };
                write::<Int96Type>(&mut group, &values.iter().map(int96).collect::<Vec<_>>(), &column);
            }
            Values::Bytes(values) => {
                let values: Vec<ByteArray> = values.iter().map(|value| value.to_vec().into()).collect();
                write::<ByteArrayType>(&mut group, &values, &column);
            }
            Values::Fixed(values) => {
                let values: Vec<_> =
                    values.iter().map(|value| ByteArray::from(value.to_vec()).into()).collect();
                write::<FixedLenByteArrayType>(&mut group, &values, &column);
            }
        }
    }
    group.close().expect("memory");
    writer.into_inner().expect("memory")
}

fn write<T: DataType>(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, values: &[T::T], column: &Column) {
    let mut writer = group.next_column().expect("memory").expect("a column of the schema");
    writer
        .typed::<T>()
        .write_batch(values, column.definition.as_deref(), column.repetition.as_deref())
        .expect("values of the schema");
    writer.close().expect("memory");
}
