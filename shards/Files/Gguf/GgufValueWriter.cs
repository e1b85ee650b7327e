using System.Text;

namespace Llama3Cluster.Shards.Files.Gguf;

/// <summary>Writes metadata values under their type numbers: the counterpart of <see cref="GgufReader.ReadValue"/>.</summary>
internal static class GgufValueWriter
{
    private const uint ArrayType = 9;

    /// <summary>Writes a value with its type before it.</summary>
    public static void Write(BinaryWriter writer, object value)
    {
        writer.Write(Number(value.GetType()));
        WriteBody(writer, value);
    }

    /// <summary>Writes a string without a type: its length in UTF-8, and its bytes.</summary>
    public static void WriteString(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void WriteBody(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case byte v: writer.Write(v); break;
            case sbyte v: writer.Write(v); break;
            case ushort v: writer.Write(v); break;
            case short v: writer.Write(v); break;
            case uint v: writer.Write(v); break;
            case int v: writer.Write(v); break;
            case ulong v: writer.Write(v); break;
            case long v: writer.Write(v); break;
            case float v: writer.Write(v); break;
            case double v: writer.Write(v); break;
            case bool v: writer.Write(v); break;
            case string v: WriteString(writer, v); break;
            case Array array: WriteArray(writer, array); break;
            default: throw new ArgumentException($"GGUF has no type for a {value.GetType()}", nameof(value));
        }
    }

    private static void WriteArray(BinaryWriter writer, Array array)
    {
        writer.Write(Number(array.GetType().GetElementType()!));
        writer.Write((ulong)array.Length);
        foreach (object element in array)
            WriteBody(writer, element);
    }

    // Arrays of arrays are object arrays, as their elements may differ in type.
    private static uint Number(Type type) => type.IsArray || type == typeof(object) ? ArrayType : Type.GetTypeCode(type) switch
    {
        TypeCode.Byte => 0,
        TypeCode.SByte => 1,
        TypeCode.UInt16 => 2,
        TypeCode.Int16 => 3,
        TypeCode.UInt32 => 4,
        TypeCode.Int32 => 5,
        TypeCode.Single => 6,
        TypeCode.Boolean => 7,
        TypeCode.String => 8,
        TypeCode.UInt64 => 10,
        TypeCode.Int64 => 11,
        TypeCode.Double => 12,
        _ => throw new ArgumentException($"GGUF has no type for a {type}", nameof(type)),
    };
}
